// Light or dark. A classic script in <head>, so that a stored choice is there before the first
// paint; without one, CSS follows the system by itself.
{
  const { dataset } = document.documentElement;
  // Storage may be forbidden: then the choice holds for this page.
  const storage = (use) => {
    try {
      return use(localStorage);
    } catch {
      return null;
    }
  };
  dataset.theme = storage((kept) => kept.getItem("tailrace.theme")) ?? "";

  document.addEventListener("click", ({ target }) => {
    if (target.id !== "theme") return;
    const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    dataset.theme = dark ? "light" : "dark";
    storage((kept) => kept.setItem("tailrace.theme", dataset.theme));
  });
}
