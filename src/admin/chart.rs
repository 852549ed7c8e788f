//! Draws charts as SVG. It knows numbers and words, and nothing of what they mean. Colours come from classes (`c0`, `c1`, ...), so
//! that a page decides on them; every bar and point has a title that says its figures.

use std::fmt::{Display, Write as _};

/// The size of the drawing, in its own units, and the room for labels at its left and below.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 46.0;
const BELOW: f64 = 22.0;
const ABOVE: f64 = 10.0;

/// A place on the x axis.
#[derive(Debug, Clone)]
pub struct Column {
    /// What stands below it; nothing for most.
    pub label: String,
    /// What its title says first.
    pub name: String,
    /// Its values, in the order of the series.
    pub values: Vec<Option<f64>>,
}

/// What is drawn in one colour: the number of that, and its name.
pub type Series = (usize, &'static str);

/// Bars of stacked values, that of the first series lowest.
#[must_use]
pub fn stacked_bars(title: &str, series: &[Series], columns: &[Column]) -> String {
    let highest = columns.iter().map(|column| column.values.iter().flatten().sum::<f64>()).fold(0.0, f64::max);
    let scale = Linear::up_to(highest);
    let mut drawing = Drawing::new(title);
    drawing.grid(scale.ticks().map(|tick| (scale.place(tick), short(tick))));
    let step = drawing.step(columns);
    for (index, column) in columns.iter().enumerate() {
        let figures: Vec<_> = series
            .iter()
            .zip(&column.values)
            .map(|((_, name), value)| format!("{name} {}", short(value.unwrap_or(0.0))))
            .collect();
        let x = LEFT + step * index as f64;
        drawing.begin(&format!("{}: {}", column.name, figures.join(", ")));
        // All of the column's height shows the title, also where the bar is short.
        drawing.rectangle("hover", x, ABOVE, step, HEIGHT - BELOW - ABOVE);
        let mut below = 0.0;
        for ((class, _), value) in series.iter().zip(&column.values) {
            let value = value.unwrap_or(0.0);
            if value > 0.0 {
                let (top, bottom) = (scale.place(below + value), scale.place(below));
                drawing.rectangle(&format!("c{class}"), x + step * 0.1, top, step * 0.8, bottom - top);
            }
            below += value;
        }
        drawing.end();
    }
    drawing.labels(columns, step);
    drawing.finish()
}

/// Lines over a logarithmic scale from `lowest` to `highest`; `show` writes a value. Where a column has no value, a line has a gap.
#[must_use]
pub fn lines(
    title: &str,
    series: &[Series],
    columns: &[Column],
    (lowest, highest): (f64, f64),
    show: impl Fn(f64) -> String,
) -> String {
    let scale = Logarithmic { lowest, highest };
    let mut drawing = Drawing::new(title);
    drawing.grid(scale.ticks().map(|tick| (scale.place(tick), show(tick))));
    let step = drawing.step(columns);
    for (index, (class, _)) in series.iter().enumerate() {
        drawing.line(*class, columns.iter().map(|column| column.values.get(index).copied().flatten()), step, &scale);
    }
    for (index, column) in columns.iter().enumerate() {
        let figures: Vec<_> = series
            .iter()
            .zip(&column.values)
            .filter_map(|((_, name), value)| Some(format!("{name} {}", show((*value)?))))
            .collect();
        if !figures.is_empty() {
            drawing.begin(&format!("{}: {}", column.name, figures.join(", ")));
            drawing.rectangle("hover", LEFT + step * index as f64, ABOVE, step, HEIGHT - BELOW - ABOVE);
            drawing.end();
        }
    }
    drawing.labels(columns, step);
    drawing.finish()
}

/// A bar that takes up `share` of its width, for a row of a table.
#[must_use]
pub fn row_bar(share: f64) -> String {
    let width = (share.clamp(0.0, 1.0) * 100.0).max(0.5);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"c0\" width=\"{width:.1}\" height=\"8\"/></svg>"
    )
}

struct Linear {
    top: f64,
    step: f64,
}

impl Linear {
    /// A scale from nothing to a round number not below `highest`, in four or five steps.
    fn up_to(highest: f64) -> Self {
        let rough = (highest / 4.0).max(0.25);
        let power = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
        // What is counted comes in whole ones.
        let step = (round * power).max(1.0);
        Self { top: step * (highest / step).ceil().max(1.0), step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (step, count) = (self.step, (self.top / self.step).round() as u32);
        (0..=count).map(move |number| step * f64::from(number))
    }

    fn place(&self, value: f64) -> f64 {
        HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * (value / self.top)
    }
}

struct Logarithmic {
    lowest: f64,
    highest: f64,
}

impl Logarithmic {
    /// The powers of ten.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (first, last) = (self.lowest.log10().ceil() as i32, self.highest.log10().floor() as i32);
        (first..=last).map(|power| 10_f64.powi(power))
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.clamp(self.lowest, self.highest) / self.lowest).log10() / (self.highest / self.lowest).log10();
        HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * share
    }
}

struct Drawing(String);

impl Drawing {
    fn new(title: &str) -> Self {
        let mut svg = Self(String::new());
        svg.write(format_args!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            Escaped(title)
        ));
        svg
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(what);
    }

    fn step(&self, columns: &[Column]) -> f64 {
        (WIDTH - LEFT) / columns.len().max(1) as f64
    }

    fn grid(&mut self, ticks: impl Iterator<Item = (f64, String)>) {
        for (y, label) in ticks {
            self.write(format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{WIDTH}\"/>"));
            self.write(format_args!(
                "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                Escaped(&label)
            ));
        }
    }

    fn begin(&mut self, title: &str) {
        self.write(format_args!("<g><title>{}</title>", Escaped(title)));
    }

    fn end(&mut self) {
        self.0.push_str("</g>");
    }

    fn rectangle(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.write(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    fn line(&mut self, class: usize, values: impl Iterator<Item = Option<f64>>, step: f64, scale: &Logarithmic) {
        let (mut path, mut dots) = (String::new(), String::new());
        let (mut before, mut length) = (None, 0);
        let mut alone = |point: Option<(f64, f64)>, length: usize| {
            // A point without a neighbour would be a line of no length.
            if let (Some((x, y)), 1) = (point, length) {
                let _ = write!(dots, "<circle class=\"c{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
            }
        };
        for (index, value) in values.enumerate() {
            let Some(value) = value else {
                alone(before, length);
                (before, length) = (None, 0);
                continue;
            };
            let point = (LEFT + step * (index as f64 + 0.5), scale.place(value));
            let _ = write!(path, "{}{:.1} {:.1}", if before.is_none() { 'M' } else { 'L' }, point.0, point.1);
            (before, length) = (Some(point), length + 1);
        }
        alone(before, length);
        self.write(format_args!("<path class=\"line l{class}\" d=\"{path}\"/>{dots}"));
    }

    fn labels(&mut self, columns: &[Column], step: f64) {
        for (index, column) in columns.iter().enumerate().filter(|(_, column)| !column.label.is_empty()) {
            let x = LEFT + step * (index as f64 + 0.5);
            self.write(format_args!(
                "<text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - 6.0,
                Escaped(&column.label)
            ));
        }
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }
}

/// A number in few letters.
#[must_use]
pub fn short(value: f64) -> String {
    let (divided, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if unit.is_empty() || divided.fract().abs() < 0.05 { format!("{divided:.0}") } else { format!("{divided:.1}") };
    digits + unit
}

/// Safe in the text and the attributes of SVG and HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: &[Option<f64>]) -> Column {
        Column { label: name.into(), name: name.into(), values: values.to_vec() }
    }

    fn heights(svg: &str, class: &str) -> Vec<f64> {
        let rectangles = svg.split("<rect ").filter(|part| part.starts_with(&format!("class=\"{class}\"")));
        rectangles.map(|part| part.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn bars_are_as_high_as_their_values_and_stand_on_each_other() {
        let svg =
            stacked_bars("t", &[(0, "a"), (1, "b")], &[column("1", &[Some(10.0), Some(30.0)]), column("2", &[None, Some(20.0)])]);
        let (a, b) = (heights(&svg, "c0"), heights(&svg, "c1"));
        assert_eq!((a.len(), b.len()), (1, 2));
        assert!((b[0] / a[0] - 3.0).abs() < 0.02 && (b[1] / a[0] - 2.0).abs() < 0.02, "{a:?} {b:?}");
        assert!((a[0] + b[0] - (HEIGHT - BELOW - ABOVE)).abs() < 0.2, "40 is the top of the scale");
        assert!(svg.contains("<title>1: a 10, b 30</title>") && svg.contains(">40</text>"), "{svg}");
    }

    #[test]
    fn scales_are_round_and_never_empty() {
        for (highest, top) in [(0.0, 1.0), (1.0, 1.0), (3.0, 3.0), (7.0, 8.0), (40.0, 40.0), (41.0, 60.0), (123_456.0, 150_000.0)]
        {
            let scale = Linear::up_to(highest);
            assert_eq!(scale.top, top, "{highest}");
            assert!((2..=6).contains(&scale.ticks().count()), "{highest}");
        }
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_was_measured() {
        let values = [Some(1.0), Some(10.0), None, Some(100.0), None, Some(1.0), Some(1.0)];
        let columns: Vec<_> = values.iter().map(|value| column("x", &[*value])).collect();
        let svg = lines("t", &[(0, "p50")], &columns, (0.1, 1000.0), |value| value.to_string());
        let path = svg.split("class=\"line l0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (3, 2), "{path}");
        assert_eq!(svg.matches("<circle").count(), 1, "a point of its own");
    }

    #[test]
    fn words_cannot_leave_their_place() {
        let hostile = "</title><script>alert('x')</script>\"&";
        let svg = stacked_bars(hostile, &[(0, "a")], &[column(hostile, &[Some(1.0)])]);
        assert!(!svg.contains("<script") && !svg.contains("\"&\""), "{svg}");
        assert_eq!(svg.matches("<title>").count(), 1);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (950.0, "950"), (9999.0, "9999"), (12_000.0, "12k"), (12_345.0, "12.3k"), (2_500_000.0, "2.5M")]
        {
            assert_eq!(short(value), text);
        }
    }
}
