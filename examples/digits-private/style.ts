/** The report's style sheet. The charts take their colours from its variables. */
export const style = `
:root {
  --page: #fbfbf9; --card: #ffffff; --text: #1c1d21; --muted: #686c76; --line: #e2e3e0;
  --main: #2f6db5; --alert: #cf3f2e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171b; --card: #1d2026; --text: #e8e9ec; --muted: #9ba1ad; --line: #333842;
    --main: #6ea8ec; --alert: #ff7a66;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 40px 20px 60px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 10px; letter-spacing: -0.01em; }
h2 { font-size: 21px; margin: 0 0 6px; }
p { margin: 0 0 12px; max-width: 46em; }
header p { font-size: 18px; color: var(--muted); }
section { margin-top: 44px; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); gap: 12px; margin: 24px 0 0; }
dl div { display: flex; flex-direction: column-reverse; justify-content: flex-end; padding: 14px 16px;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
dt { color: var(--muted); font-size: 14px; line-height: 1.35; }
dd { margin: 0 0 2px; font-size: 28px; font-weight: 600; font-variant-numeric: tabular-nums; }
.charts { display: flex; flex-wrap: wrap; gap: 12px 0; justify-content: space-between; padding: 14px 0 4px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; justify-content: center; list-style: none; margin: 0 0 4px;
  padding: 0; font-size: 13px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 6px; }
.charts svg { display: block; max-width: 100%; height: auto; }
.digits { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 12px; margin-top: 16px; }
.digit { margin: 0; padding: 8px 8px 6px; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  text-align: center; }
.digit svg { display: block; width: 84px; max-width: 100%; margin: 0 auto; }
.digit figcaption { font-size: 13px; line-height: 1.35; margin-top: 4px; }
.digit em { font-style: normal; font-weight: 700; color: var(--alert); }
.digit small { color: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
`;
