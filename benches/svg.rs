//! Plots of cost against size, both axes logarithmic, as SVG that browsers and
//! forges show. A crate for plots would be larger than all of the benches.

use std::fmt::Write;

/// A curve: its name and its points.
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// What a plot shows.
pub struct Plot {
    pub title: String,
    /// What is to the right, as "keys".
    pub across: &'static str,
    /// What is upwards, as "ns".
    pub upwards: &'static str,
    pub curves: Vec<Curve>,
}

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
/// The names of the curves stand here.
const RIGHT: f64 = 240.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Colours that also those can tell apart who see red and green alike.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl Plot {
    /// The plot as a document.
    pub fn draw(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| curve.points.iter());
        let across = Axis::around(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        let upwards = Axis::around(points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("memory takes it");
        line(format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
        ));
        line(r##"<rect width="100%" height="100%" fill="#fff"/>"##.to_owned());
        line(text(WIDTH / 2.0, 22.0, "middle", r#"font-size="15""#, &self.title));
        for (value, x) in across.decades() {
            line(rule(x, TOP, x, HEIGHT - BOTTOM));
            line(text(x, HEIGHT - BOTTOM + 18.0, "middle", "", &short(value)));
        }
        for (value, y) in upwards.decades() {
            line(rule(LEFT, y, WIDTH - RIGHT, y));
            line(text(LEFT - 8.0, y + 4.0, "end", "", &short(value)));
        }
        line(text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0, "middle", "", self.across));
        line(text(14.0, TOP - 12.0, "start", "", self.upwards));
        for (number, curve) in self.curves.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let places: Vec<(f64, f64)> = curve
                .points
                .iter()
                .map(|point| (across.place(point.0), upwards.place(point.1)))
                .collect();
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            line(format!(
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                path.join(" ")
            ));
            for (x, y) in places {
                line(format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#));
            }
            let y = TOP + 16.0 + 17.0 * number as f64;
            line(format!(
                r#"<rect x="{}" y="{}" width="14" height="4" fill="{colour}"/>"#,
                WIDTH - RIGHT + 16.0,
                y - 6.0
            ));
            line(text(WIDTH - RIGHT + 36.0, y, "start", "", &curve.name));
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A logarithmic axis over whole decades.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let logs: Vec<f64> = values.map(|value| value.max(1e-9).log10()).collect();
        let low = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        Axis { low, high: high.max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-9).log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// Powers of ten, and where they are.
    fn decades(&self) -> impl Iterator<Item = (f64, f64)> {
        let (low, high) = (self.low as i32, self.high as i32);
        (low..=high).map(|power| 10_f64.powi(power)).map(|value| (value, self.place(value)))
    }
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64) -> String {
    format!(r##"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="#ddd"/>"##)
}

fn text(x: f64, y: f64, anchor: &str, more: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {more}>{text}</text>"#)
}

fn short(value: f64) -> String {
    let (figure, unit) = match value {
        value if value >= 1e9 => (value / 1e9, " G"),
        value if value >= 1e6 => (value / 1e6, " M"),
        value if value >= 1e3 => (value / 1e3, " k"),
        value => (value, ""),
    };
    format!("{figure}{unit}")
}
