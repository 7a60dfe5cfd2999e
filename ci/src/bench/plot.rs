//! Curves for a document, as SVG.

use std::fmt::Write as _;

/// One curve: its name, and its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What grows.
    pub name: String,
    /// How many there are, and the figure then.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// Room for the names of the axes, and for those of the curves to the right.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 230.0;
const EDGE: f64 = 40.0;
/// Colours that are told apart on light and dark ground.
const COLOURS: [&str; 6] = ["#1f77b4", "#d95f02", "#2ca02c", "#c2185b", "#8c6d1f", "#7e57c2"];

/// Draws curves over a logarithmic axis: the figures, in `unit`, from 0 to one or more.
pub fn draw(title: &str, unit: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let most = all().map(|(count, _)| count.max(1.0).log10()).fold(1.0, f64::max).ceil();
    let highest = all().map(|(_, figure)| figure).fold(1.0, f64::max) * 1.1;
    let x = |count: f64| LEFT + count.max(1.0).log10() / most * (WIDTH - LEFT - RIGHT);
    let y = |figure: f64| HEIGHT - EDGE - figure / highest * (HEIGHT - 2.0 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#808080\">\n<title>{title}</title>\n"
    );
    // Writing to a text does not fail.
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title} ({unit})</text>");
    let mut power = 0.0;
    while power <= most {
        let (at, base) = (x(10_f64.powf(power)), HEIGHT - EDGE);
        let _ = writeln!(svg, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{EDGE}\" y2=\"{base}\" stroke=\"#80808040\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            base + 18.0,
            10_f64.powf(power)
        );
        power += 1.0;
    }
    let step = step(highest);
    let decimals = usize::from(step < 1.0);
    let mut line = 0.0;
    while line * step <= highest {
        let figure = line * step;
        line += 1.0;
        let (at, end) = (y(figure), WIDTH - RIGHT);
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#80808040\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{figure:.decimals$}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    for (number, (curve, colour)) in curves.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<_> =
            curve.points.iter().map(|(count, figure)| format!("{:.1},{:.1}", x(*count), y(*figure))).collect();
        let points = points.join(" ");
        let _ = writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        for (count, figure) in &curve.points {
            let _ =
                writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*count), y(*figure));
        }
        let at = EDGE + 20.0 * f64::from(u16::try_from(number).unwrap_or(u16::MAX));
        let _ =
            writeln!(svg, "<text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{}</text>", WIDTH - RIGHT + 12.0, curve.name);
    }
    svg.push_str("</svg>\n");
    svg
}

/// What lies between two lines of the axis: 1, 2 or 5 of a power of ten, so that there are at most ten.
fn step(highest: f64) -> f64 {
    let power = 10_f64.powf((highest / 10.0).log10().floor());
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|step| highest / step <= 10.0).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_on_their_axes() {
        let curve = Curve { name: "disks".to_owned(), points: vec![(1.0, 0.0), (100.0, 50.0)] };
        let svg = draw("Boot", "ms", &[curve]);
        // The first point is where the axes meet; the second one at the right end, and at 10/11 of the height.
        assert!(svg.contains("<polyline points=\"60.0,320.0 490.0,65.5\""), "{svg}");
        assert!(svg.contains(">disks</text>") && svg.ends_with("</svg>\n"));
        assert_eq!([55.0, 100.0, 101.0, 1900.0].map(|most| step(most).to_string()), ["10", "10", "20", "200"]);
    }
}
