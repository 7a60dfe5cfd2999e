//! The timeline as an SVG image (SVG 2): a bar for each span, below one another, over a common axis of time.

use std::fmt;

use super::spans::{Kind, Span};
use super::table::Milliseconds;
use crate::status::report::BootReport;

/// Measures in pixels.
const WIDTH: u64 = 1200;
const MARGIN: u64 = 20;
const ROW: u64 = 20;
const BAR: u64 = 14;
/// Where names end and bars begin.
const NAMES: u64 = 380;
/// The room right of the bars for the duration of the last ones.
const DURATIONS: u64 = 100;
/// Where the rows begin, below title, legend and axis.
const TOP: u64 = 110;

/// Longest name that has room, in characters.
const MAX_NAME: usize = 52;
/// Most lines of the axis.
const MAX_TICKS: u64 = 10;

/// Colours are those of Okabe and Ito, which are told apart with any colour vision, darker or brighter where the background
/// asks for it.
const STYLE: &str = "\
text { font: 12px system-ui, sans-serif; fill: #1a1a1a }
.title { font-size: 18px; font-weight: 600 }
.name { text-anchor: end }
.tick { text-anchor: middle }
.tick, .took { fill: #555 }
.background { fill: #fff }
.grid { stroke: #ddd }
.phase { fill: #999 }
.wait { fill: #c9a800 }
.module { fill: #0072b2 }
.device { fill: #d55e00 }
.mount { fill: #009e73 }
.step { fill: #cc79a7 }
@media (prefers-color-scheme: dark) {
  text { fill: #eee }
  .tick, .took { fill: #aaa }
  .background { fill: #16181d }
  .grid { stroke: #333 }
  .phase { fill: #777 }
  .wait { fill: #f0e442 }
  .module { fill: #56b4e9 }
}
";

/// The image.
pub(crate) struct Chart<'r> {
    pub(crate) report: &'r BootReport,
    pub(crate) spans: &'r [Span],
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = u64::try_from(self.spans.len()).unwrap_or(u64::MAX);
        let bottom = rows.saturating_mul(ROW).saturating_add(TOP);
        let height = bottom.saturating_add(MARGIN);
        let axis = Axis::over(self.spans);
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">"
        )?;
        self.heading(f, &axis)?;
        writeln!(f, "<style>\n{STYLE}</style>\n<rect class=\"background\" width=\"100%\" height=\"100%\"/>")?;
        writeln!(f, "<text class=\"title\" x=\"{MARGIN}\" y=\"32\">{}</text>", self.title())?;
        legend(f)?;
        axis.grid(f, bottom)?;
        (0..).zip(self.spans).try_for_each(|(row, span)| bar(f, &axis, row, span))?;
        writeln!(f, "</svg>")
    }
}

impl Chart<'_> {
    fn title(&self) -> String {
        let BootReport { deployment, kernel, .. } = self.report;
        format!("Boot of {} with kernel {}", Escaped(&deployment.name), Escaped(kernel))
    }

    /// What is read out instead of the image.
    fn heading(&self, f: &mut fmt::Formatter<'_>, axis: &Axis) -> fmt::Result {
        writeln!(f, "<title id=\"title\">{}</title>", self.title())?;
        write!(
            f,
            "<desc id=\"desc\">PID 1 began {} ms after the kernel and took {} ms until the hand-over.",
            Milliseconds(axis.start),
            Milliseconds(axis.length)
        )?;
        for span in self.spans.iter().filter(|span| matches!(span.kind, Kind::Phase | Kind::Wait) && span.took > 0) {
            write!(f, " {}: {} ms.", Escaped(&span.name), Milliseconds(span.took))?;
        }
        writeln!(f, "</desc>")
    }
}

fn legend(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (number, kind) in (0..).zip(Kind::ALL) {
        let (x, name) = (MARGIN + 90 * number, kind.name());
        writeln!(f, "<rect class=\"{name}\" x=\"{x}\" y=\"50\" width=\"{BAR}\" height=\"{BAR}\" rx=\"2\"/>")?;
        writeln!(f, "<text x=\"{}\" y=\"61\">{name}</text>", x + BAR + 6)?;
    }
    Ok(())
}

/// A span in its row.
fn bar(f: &mut fmt::Formatter<'_>, axis: &Axis, row: u64, span: &Span) -> fmt::Result {
    let y = TOP + row * ROW;
    let (left, right) = (axis.place(span.microseconds), axis.place(span.end()));
    let (kind, took) = (span.kind.name(), Milliseconds(span.took));
    writeln!(f, "<g><title>{kind}: {}, {took} ms</title>", Escaped(&span.name))?;
    let name = cut(span.short_name());
    writeln!(f, "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>", NAMES - 8, y + 11, Escaped(&name))?;
    // What took no time that could be seen is there all the same.
    let width = (right - left).max(1.0);
    writeln!(f, "<rect class=\"{kind}\" x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>")?;
    writeln!(f, "<text class=\"took\" x=\"{:.1}\" y=\"{}\">{took} ms</text></g>", left + width + 6.0, y + 11)
}

/// The name, as far as there is room for it.
fn cut(name: &str) -> String {
    if name.chars().count() <= MAX_NAME {
        return name.to_owned();
    }
    name.chars().take(MAX_NAME - 1).chain(['…']).collect()
}

/// From moments to places.
struct Axis {
    /// When the first span began.
    start: u64,
    /// Microseconds from then to the end of the last one.
    length: u64,
}

impl Axis {
    fn over(spans: &[Span]) -> Self {
        let start = spans.iter().map(|span| span.microseconds).min().unwrap_or(0);
        let end = spans.iter().map(Span::end).max().unwrap_or(0);
        Self { start, length: end.saturating_sub(start).max(1) }
    }

    /// How far right a moment is.
    // A pixel is far more than what is lost.
    #[allow(clippy::cast_precision_loss)]
    fn place(&self, moment: u64) -> f64 {
        let passed = moment.saturating_sub(self.start) as f64 / self.length as f64;
        NAMES as f64 + passed * (WIDTH - NAMES - DURATIONS) as f64
    }

    /// Microseconds between two lines: 1, 2 or 5 of a power of ten, so that there are not too many.
    fn step(&self) -> u64 {
        let powers = (0..19).map(|exponent| 10_u64.pow(exponent));
        let mut steps = powers.flat_map(|power| [power, power.saturating_mul(2), power.saturating_mul(5)]);
        steps.find(|step| self.length / step <= MAX_TICKS).unwrap_or(u64::MAX)
    }

    /// Lines with their times, counted from the start.
    fn grid(&self, f: &mut fmt::Formatter<'_>, bottom: u64) -> fmt::Result {
        let step = self.step();
        for number in 0..=self.length / step {
            let passed = number * step;
            let x = self.place(self.start.saturating_add(passed));
            writeln!(f, "<path class=\"grid\" d=\"M{x:.1} {}V{bottom}\"/>", TOP - 6)?;
            writeln!(f, "<text class=\"tick\" x=\"{x:.1}\" y=\"{}\">{} ms</text>", TOP - 12, Tick(passed))?;
        }
        Ok(())
    }
}

/// Microseconds as milliseconds, without zeros at the end.
struct Tick(u64);

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Milliseconds(self.0).to_string();
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Text in XML: names come from disks, and may have any characters.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            // XML 1.0 has no way to write these.
            '\0'..='\x1f' | '\x7f' | '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}"),
            character => write!(f, "{character}"),
        })
    }
}
