//! Bars as SVG, drawn by hand: no colours that vanish on a dark page, no fonts of its own, numbers beside every bar.

use std::fmt::Write as _;

use crate::machine::Machine;

pub(crate) struct Plot {
    pub(crate) title: String,
    /// What the numbers are.
    pub(crate) unit: &'static str,
    /// Where a line stands across all bars, and what it means.
    pub(crate) line: Option<(f64, &'static str)>,
    pub(crate) groups: Vec<Group>,
}

pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    /// Whose it is: decides the colour.
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) shown: String,
}

const WIDTH: f64 = 820.0;
const LEFT: f64 = 280.0;
const RIGHT: f64 = 110.0;
const BAR: f64 = 15.0;
const GAP: f64 = 12.0;
const TOP: f64 = 74.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#1f2328}.small{font-size:10.5px;fill:#59636e}.title{font-size:15px;\
    font-weight:600}.tollgate{fill:#0969da}.nginx{fill:#848d97}.hyper{fill:#d4722b}.line{stroke:#59636e;stroke-dasharray:3 3}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.tollgate{fill:#58a6ff}.nginx{fill:#7d8590}\
    .hyper{fill:#e58a4a}.line{stroke:#9198a1}}";

impl Plot {
    pub(crate) fn svg(&self, machine: &Machine) -> String {
        let most =
            self.groups.iter().flat_map(|group| &group.bars).map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        let most = self.line.map_or(most, |(at, _)| most.max(at));
        let x = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * (value.max(0.0) / most);
        let mut body = String::new();
        let mut y = TOP;
        for group in &self.groups {
            let middle = y + BAR * count(group.bars.len()) / 2.0 + 4.0;
            text(&mut body, (LEFT - 10.0, middle), "", "end", &group.label);
            for bar in &group.bars {
                let class = class(bar.name);
                let (width, height) = (x(bar.value) - LEFT, BAR - 2.0);
                let _ = writeln!(
                    body,
                    r#"<rect class="{class}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{height}" rx="1"/>"#
                );
                // Beside the bar, or beyond the line where the number would stand across it.
                let line = self.line.map_or(0.0, |(at, _)| x(at));
                let end = x(bar.value);
                let at = if (end..end + RIGHT).contains(&line) { line } else { end };
                text(&mut body, (at + 5.0, y + 11.0), "small", "start", &bar.shown);
                y += BAR;
            }
            y += GAP;
        }
        if let Some((at, meaning)) = self.line {
            let (x, end) = (x(at), y - GAP + 2.0);
            let top = TOP - 6.0;
            let _ = writeln!(body, r#"<line class="line" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{end:.1}"/>"#);
            text(&mut body, (x, TOP - 10.0), "small", "middle", meaning);
        }
        text(&mut body, (10.0, 22.0), "title", "start", &self.title);
        text(&mut body, (10.0, 42.0), "small", "start", self.unit);
        self.legend(&mut body);
        for line in [machine.place(), machine.means()] {
            y += 14.0;
            text(&mut body, (10.0, y), "small", "start", &line);
        }
        let height = y + 10.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{}\">\n<style>{STYLE}</style>\n{body}</svg>\n",
            escaped(&self.title)
        )
    }

    fn legend(&self, body: &mut String) {
        let mut names: Vec<&'static str> = Vec::new();
        for bar in self.groups.iter().flat_map(|group| &group.bars) {
            if !names.contains(&bar.name) {
                names.push(bar.name);
            }
        }
        let mut x = WIDTH - 95.0 * count(names.len());
        for name in names {
            let class = class(name);
            let _ = writeln!(body, r#"<rect class="{class}" x="{x:.0}" y="13" width="10" height="10" rx="1"/>"#);
            text(body, (x + 15.0, 22.0), "", "start", name);
            x += 95.0;
        }
    }
}

fn class(name: &str) -> &'static str {
    match name {
        "tollgate" => "tollgate",
        "nginx" => "nginx",
        _ => "hyper",
    }
}

fn text(body: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(body, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
