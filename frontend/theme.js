// Light or dark. A classic script in <head>, so that a stored choice applies before the first paint.
// Without a choice, CSS follows the system.
{
  const KEY = "tailrace.theme";
  const { dataset } = document.documentElement;
  // Without storage the choice holds for this page.
  const withStorage = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null;
    }
  };
  dataset.theme = withStorage((storage) => storage.getItem(KEY)) ?? "";

  document.addEventListener("click", (event) => {
    if (/** @type {any} */ (event.target).id !== "theme") return;
    const isDark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    dataset.theme = isDark ? "light" : "dark";
    withStorage((storage) => storage.setItem(KEY, dataset.theme));
  });
}
