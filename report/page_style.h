// The style sheet of pages: one column of text, quiet colours, light and dark, phone and paper.
#pragma once

#include <string_view>

namespace diffreward {

inline constexpr std::string_view kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #fcfbf9; --card: #ffffff; --ink: #23272e; --soft: #59616c; --rule: #e2dfd8; --grid: #e9e6e0;
  --accent: #1f5f99; --good: #1d6b45; --bad: #a03424; --code: #f3f1ec;
  --c1: #2468a8; --c2: #b9550f; --c3: #1c7a63; --c4: #7a4ba0; --c5: #8a6d00; --c6: #a8325e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181d; --card: #1c2026; --ink: #e7e4de; --soft: #a4abb5; --rule: #333943; --grid: #2a3038;
    --accent: #8abdf0; --good: #79cda3; --bad: #f09a8c; --code: #20252c;
    --c1: #6fb0ea; --c2: #f0a062; --c3: #63c9ae; --c4: #c39ae6; --c5: #d9be54; --c6: #ee86ac;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.page { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 2.1rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 .6rem; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3.2rem 0 .8rem; padding-top: 1.4rem; border-top: 1px solid var(--rule); }
p { margin: 0 0 1rem; max-width: 44rem; overflow-wrap: anywhere; }
.lead { font-size: 1.12rem; color: var(--soft); margin-bottom: 1.8rem; }
a { color: var(--accent); text-underline-offset: .2em; }
a:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 3px; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; margin: 1.8rem 0 0; padding: 0; font-size: .95rem; }
.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.4rem, 1fr)); gap: .8rem; margin: 0; padding: 0; }
.summary > div { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; padding: .9rem 1rem .8rem; }
.summary dt { font-size: .88rem; color: var(--soft); line-height: 1.35; }
.summary dd { margin: 0; }
.summary .value { font-size: 1.5rem; line-height: 1.35; font-weight: 620; font-variant-numeric: tabular-nums; letter-spacing: -0.01em; }
.summary .note { font-size: .84rem; color: var(--soft); line-height: 1.4; }
.good, .bad { font-weight: 620; white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); }
figure { margin: 1.6rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--rule); border-radius: .5rem; padding: .5rem; }
figcaption { font-size: .92rem; line-height: 1.45; color: var(--soft); margin-top: .6rem; max-width: 44rem; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1.2rem; align-items: start; margin: 1.6rem 0; }
.row figure { margin: 0; }
.row img { width: 100%; }
.scroll { overflow-x: auto; margin-top: .5rem; }
table { border-collapse: collapse; font-size: .94rem; line-height: 1.4; font-variant-numeric: tabular-nums; min-width: min(100%, 26rem); }
th, td { padding: .45rem .9rem .45rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { font-weight: 600; color: var(--soft); border-bottom-width: 2px; vertical-align: bottom; }
tbody th { font-weight: 500; min-width: 6.5rem; }
th.n, td.n { text-align: right; padding-left: 1.3rem; padding-right: 0; white-space: nowrap; }
th.n + :not(.n), td.n + :not(.n) { padding-left: 1.4rem; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: .9em; }
code { background: var(--code); padding: .1em .3em; border-radius: .25em; }
pre { background: var(--code); border-radius: .5rem; padding: .9rem 1rem; overflow-x: auto; line-height: 1.5; margin: 0 0 1.2rem; }
pre code { background: none; padding: 0; font-size: 1em; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: 0 0 .4rem; padding: 0; font-size: .92rem; }
.legend li { min-width: 0; overflow-wrap: anywhere; }
.legend svg { vertical-align: -1px; margin-right: .5rem; }
.chart > svg { display: block; width: 100%; height: auto; max-width: 720px; overflow: visible; }
.chart > svg.narrow { display: none; }
svg text { fill: var(--soft); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; font-variant-numeric: tabular-nums; }
svg .label { fill: var(--ink); } svg .strong { font-weight: 600; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--soft); }
svg .reference { stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 2 3; }
svg .curve { fill: none; stroke-width: 2.1; stroke-linejoin: round; stroke-linecap: round; }
svg .band { opacity: .17; } svg .area { fill-opacity: .3; stroke-width: 1.2; }
svg .outline { fill: none; stroke-width: 2.1; stroke-dasharray: 5 3; }
svg .bar { opacity: .75; } svg .whisker { stroke: var(--ink); stroke-width: 1.6; }
svg .s1 { stroke: var(--c1); } svg .s2 { stroke: var(--c2); } svg .s3 { stroke: var(--c3); }
svg .s4 { stroke: var(--c4); } svg .s5 { stroke: var(--c5); } svg .s6 { stroke: var(--c6); }
svg .f1 { fill: var(--c1); } svg .f2 { fill: var(--c2); } svg .f3 { fill: var(--c3); }
svg .f4 { fill: var(--c4); } svg .f5 { fill: var(--c5); } svg .f6 { fill: var(--c6); }
svg .curve.s2 { stroke-dasharray: 8 5; } svg .curve.s3 { stroke-dasharray: 2 4; }
svg .curve.s4 { stroke-dasharray: 10 4 2 4; } svg .curve.s5 { stroke-dasharray: 14 4; } svg .curve.s6 { stroke-dasharray: 4 3; }
footer { margin-top: 3.5rem; padding-top: 1.2rem; border-top: 1px solid var(--rule); font-size: .88rem; color: var(--soft); }
@media (max-width: 40rem) {
  .page { padding: 1.8rem 1rem 3rem; }
  h1 { font-size: 1.65rem; }
  h2 { margin-top: 2.4rem; }
  .summary { grid-template-columns: repeat(auto-fit, minmax(9.2rem, 1fr)); gap: .6rem; }
  .summary .value { font-size: 1.35rem; }
  .chart > svg.wide { display: none; }
  .chart > svg.narrow { display: block; max-width: 30rem; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --rule: #ccc; --grid: #e5e5e5; --accent: #000; --good: #1d6b45;
    --bad: #a03424; --code: #f4f4f4; --c1: #2468a8; --c2: #b9550f; --c3: #1c7a63; --c4: #7a4ba0; --c5: #8a6d00; --c6: #a8325e;
  }
  .page { max-width: none; padding: 0; }
  nav { display: none; }
  figure, .summary > div, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
}
)css";

}  // namespace diffreward
