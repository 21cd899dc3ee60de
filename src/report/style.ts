/** The style sheet of a report. The charts take their colours from its variables. */
export const style = `
:root { --page: #fbfbf9; --card: #ffffff; --text: #1c1d21; --muted: #5d616b; --line: #d9dad6; --main: #2f6db5; --alert: #b93424; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15171b; --card: #1d2026; --text: #e8e9ec; --muted: #a9afba; --line: #3a3f4a; --main: #7ab0f0; --alert: #ff8b78; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 32px 16px 60px; }
h1 { font-size: clamp(24px, 5vw, 34px); line-height: 1.15; margin: 0 0 8px; }
h2 { font-size: 21px; margin: 0 0 4px; }
p { margin: 0 0 12px; max-width: 46em; }
header p { font-size: 17px; color: var(--muted); }
a { color: var(--main); }
section { margin-top: 36px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px; margin: 20px 0 12px; }
.facts div { display: flex; flex-direction: column-reverse; justify-content: flex-end; padding: 12px 14px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.facts dt { color: var(--muted); font-size: 14px; }
.facts dd { margin: 0; font-size: 25px; font-weight: 600; font-variant-numeric: tabular-nums; }
.chart { width: 100%; height: 340px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 16px; }
.controls { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 10px 0; }
.controls label { display: flex; flex-direction: column; gap: 3px; font-size: 14px; color: var(--muted); }
.controls select, .controls input, button { font: inherit; min-height: 40px; padding: 6px 10px; color: var(--text); background: var(--card); border: 1px solid var(--muted); border-radius: 6px; }
button { cursor: pointer; margin-top: 14px; }
:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
#found { color: var(--muted); font-size: 14px; }
#list { list-style: none; margin: 0; padding: 0; display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); }
#list.wide { grid-template-columns: 1fr; }
#list li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 8px 10px; overflow-wrap: anywhere; }
#list li.chosen { border-color: var(--main); box-shadow: 0 0 0 2px var(--main); }
#list img { display: block; width: 84px; max-width: 100%; margin: 0 auto 6px; image-rendering: pixelated; }
#list audio { display: block; width: 100%; max-width: 420px; height: 40px; margin: 6px 0; }
#list .name { font-weight: 600; }
#list .shown { margin: 4px 0; white-space: pre-line; max-height: 9em; overflow: auto; }
#list .numbers { white-space: pre-line; color: var(--muted); font-size: 13px; font-variant-numeric: tabular-nums; }
#list em { font-style: normal; font-weight: 600; color: var(--alert); }
`;
