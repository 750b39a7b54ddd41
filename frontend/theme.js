// Light, dark, or as the system is. A classic script in <head>, so that a stored choice applies before the first paint.
{
  const KEY = "tailrace.theme";
  const THEMES = { "": ["◐", "System"], light: ["☀", "Light"], dark: ["☾", "Dark"] };
  const { dataset } = document.documentElement;
  // Without storage the choice holds for this page.
  const withStorage = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null;
    }
  };
  const stored = withStorage((storage) => storage.getItem(KEY)) ?? "";
  dataset.theme = stored in THEMES ? stored : "";

  const draw = () => {
    const button = /** @type {any} */ (document.getElementById("theme"));
    const [icon, name] = THEMES[dataset.theme ?? ""];
    button.textContent = icon;
    button.ariaLabel = `Theme: ${name}`;
    button.title = `Theme: ${name}`;
  };
  document.addEventListener("DOMContentLoaded", () => {
    draw();
    document.getElementById("theme")?.addEventListener("click", () => {
      const names = Object.keys(THEMES);
      dataset.theme = names[(names.indexOf(dataset.theme ?? "") + 1) % names.length];
      withStorage((storage) => storage.setItem(KEY, dataset.theme));
      draw();
    });
  });
}
