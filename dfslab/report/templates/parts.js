<script>
(() => {
  for (const box of document.querySelectorAll(".table.live:not([data-on])")) {
    box.dataset.on = 1;
    const body = box.querySelector("tbody"), rows = [...body.rows], heads = [...box.querySelectorAll("th")];
    const input = box.querySelector("input"), note = box.querySelector(".search span");
    const most = Number(box.dataset.shown) || rows.length;
    let all = false;
    const show = () => {
      const words = input.value.toLowerCase().split(/\s*,\s*|\s{2,}/).filter(Boolean);
      const fits = (text) => words.every((w) => (/^[-−]/.test(w) ? !w.slice(1) || !text.includes(w.slice(1)) : text.includes(w)));
      const kept = [...body.rows].filter((row) => fits(row.textContent.toLowerCase()));
      for (const row of rows) row.hidden = true;
      const here = kept.slice(0, all || words.length ? kept.length : most);
      for (const row of here) row.hidden = false;
      note.textContent = "";
      note.append(`${here.length} of ${rows.length} shown`);
      if (!words.length && most < rows.length) {
        const more = document.createElement("button");
        more.textContent = all ? `show ${most}` : "show all";
        more.onclick = () => { all = !all; show(); };
        note.append(" · ", more);
      }
    };
    heads.forEach((head, k) => {
      head.tabIndex = 0;
      head.title = "sort";
      const sort = () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => { const c = row.cells[k]; return c.dataset.v === undefined ? c.textContent : Number(c.dataset.v); };
        const sign = down ? -1 : 1;
        const order = (a, b) => { const x = key(a), y = key(b); return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y))); };
        body.append(...[...rows].sort(order));
        show();
      };
      head.onclick = sort;
      head.onkeydown = (e) => { if (e.key === "Enter") sort(); };
    });
    input.oninput = show;
    show();
  }
})();
</script>
