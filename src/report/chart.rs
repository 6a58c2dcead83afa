//! Lines by day, as SVG: drawn by plotters, with a label at the end of each line, so that no colour needs a legend.

use plotters::coord::types::{RangedCoordf64, RangedCoordi32};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::error::ReportError;
use super::figure::Format;
use super::format::value_text;
use super::source::Period;
use crate::model::day::Day;

/// The lines of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    pub format: Format,
    pub period: Period,
    pub series: Vec<Series>,
    /// Days of which rows may be missing; they are shaded.
    pub doubtful: Vec<Day>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<(Day, f64)>,
}

/// How large it is drawn: a small screen gets a drawing of its own, whose text it can show at its size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub class: &'static str,
    width: u32,
    height: u32,
    label_width: u32,
    label_characters: usize,
    day_labels: usize,
    /// Whether labels have room for the newest figures.
    has_values: bool,
}

pub const SIZES: [Size; 2] = [
    Size {
        class: "wide",
        width: 940,
        height: 300,
        label_width: 180,
        label_characters: 18,
        day_labels: 8,
        has_values: true,
    },
    Size {
        class: "narrow",
        width: 340,
        height: 240,
        label_width: 88,
        label_characters: 12,
        day_labels: 3,
        has_values: false,
    },
];

/// Of lines. The style of the page gives each its dashes and its colour in the dark, by the colour in the drawing.
const COLORS: [RGBColor; 6] = [
    RGBColor(11, 95, 165),
    RGBColor(184, 74, 20),
    RGBColor(38, 115, 72),
    RGBColor(122, 79, 163),
    RGBColor(133, 104, 20),
    RGBColor(84, 94, 108),
];
const INK: RGBColor = RGBColor(85, 96, 110);
const GRID: RGBColor = RGBColor(225, 229, 234);
const DOUBT: RGBColor = RGBColor(246, 236, 214);

const FONT: f64 = 12.0;
/// plotters writes sizes divided by this.
const FONT_SCALE: f64 = 1.24;
/// Between two labels.
const LINE_HEIGHT: i32 = 15;

type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordi32, RangedCoordf64>>;

impl Lines {
    /// An SVG element. `described` is the id of the element with the chart's text.
    pub fn svg(&self, size: Size, title: &str, described: &str) -> Result<String, ReportError> {
        let mut svg = String::new();
        self.draw(size, &mut svg).map_err(|error| ReportError::Chart(error.to_string()))?;
        // The drawing is as wide as its place.
        let body = svg.split_once('>').map_or("", |(_, body)| body);
        let (class, Size { width, height, .. }) = (size.class, size);
        let (title, described) = (maud::html! { (title) }.into_string(), maud::html! { (described) }.into_string());
        Ok(format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" aria-describedby=\"{}\">{body}",
            title.replace('"', "&quot;"),
            described.replace('"', "&quot;"),
        ))
    }

    fn draw(&self, size: Size, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let (from, to) = (self.period.first.to_epoch_days(), self.period.last.to_epoch_days());
        let values = self.series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
        let top = values.fold(0.0, f64::max);
        let top = if top > 0.0 { top * 1.08 } else { 1.0 };
        let root = SVGBackend::with_string(svg, (size.width, size.height)).into_drawing_area();
        let text = |color: &RGBColor| ("sans-serif", FONT * FONT_SCALE).into_font().color(color);
        let mut chart = ChartBuilder::on(&root)
            .margin_top(10)
            .margin_right(size.label_width)
            .x_label_area_size(26)
            .y_label_area_size(46)
            .build_cartesian_2d(from..to.max(from + 1), 0.0..top)?;
        let place = |day: i32, value: f64| chart.backend_coord(&(day, value));
        let half = (place(from + 1, 0.0).0 - place(from, 0.0).0) / 2;
        let ends = (place(from, 0.0).0, place(to.max(from + 1), 0.0).0);
        for day in self.doubtful.iter().map(|day| day.to_epoch_days()).filter(|day| (from..=to).contains(day)) {
            let ((x, bottom), top) = (place(day, 0.0), place(day, top).1);
            let corners = [((x - half).max(ends.0), top), ((x + half).min(ends.1), bottom)];
            root.draw(&Rectangle::new(corners, DOUBT.filled()))?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(text(&INK))
            .x_labels(size.day_labels)
            .y_labels(5)
            .x_label_formatter(&|day| short(Day::from_epoch_days(*day)))
            .y_label_formatter(&|value| axis_text(self.format, *value))
            .draw()?;
        for (series, color) in self.series.iter().zip(COLORS) {
            self.draw_series(&mut chart, series, color)?;
        }
        let ends: Vec<(usize, i32, f64)> = self
            .series
            .iter()
            .take(COLORS.len())
            .enumerate()
            .filter_map(|(index, series)| {
                let (day, value) = series.points.last()?;
                Some((index, chart.backend_coord(&(day.to_epoch_days(), *value)).1, *value))
            })
            .collect();
        let x = i32::try_from(size.width - size.label_width).unwrap_or_default() + 8;
        let bottom = i32::try_from(size.height).unwrap_or_default() - 26;
        for (index, y, value) in apart(ends, bottom) {
            let name = cut(&self.series[index].name, size.label_characters);
            let label = if size.has_values { format!("{name} {}", value_text(self.format, value)) } else { name };
            let style = text(&COLORS[index]).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(label, (x, y), style))?;
        }
        root.present()
    }

    /// Days without a figure interrupt the line.
    fn draw_series(
        &self,
        chart: &mut Plane<'_>,
        series: &Series,
        color: RGBColor,
    ) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let points: Vec<(i32, f64)> = series.points.iter().map(|(day, value)| (day.to_epoch_days(), *value)).collect();
        for run in points.chunk_by(|(one, _), (next, _)| *next == one + 1) {
            match run {
                [alone] => _ = chart.draw_series([Circle::new(*alone, 2, color.filled())])?,
                _ => _ = chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?,
            }
        }
        let last = points.last().map(|last| Circle::new(*last, 3, color.filled()));
        chart.draw_series(last).map(|_| ())
    }
}

/// The ends of lines, moved down or up until their labels do not touch.
fn apart(mut ends: Vec<(usize, i32, f64)>, bottom: i32) -> Vec<(usize, i32, f64)> {
    ends.sort_by_key(|(_, y, _)| *y);
    let mut free = i32::MIN;
    for (_, y, _) in &mut ends {
        *y = (*y).max(free);
        free = *y + LINE_HEIGHT;
    }
    let mut limit = bottom;
    for (_, y, _) in ends.iter_mut().rev() {
        *y = (*y).min(limit);
        limit = *y - LINE_HEIGHT;
    }
    ends
}

fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters - 1).chain(['…']).collect()
}

/// `3 Nov`.
fn short(day: Day) -> String {
    day.short().split_once(' ').map_or_else(String::new, |(_, day)| day.to_owned())
}

/// Steps of an axis have no more digits than they need.
fn axis_text(format: Format, value: f64) -> String {
    match format {
        Format::Share => format!("{:.0} %", value * 100.0),
        _ => value_text(format, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_lines_do_not_touch() {
        let ends = vec![(0, 100, 1.0), (1, 102, 1.0), (2, 40, 1.0), (3, 208, 1.0), (4, 209, 1.0)];
        let mut places: Vec<i32> = apart(ends, 214).into_iter().map(|(_, y, _)| y).collect();
        assert!(places.iter().all(|y| *y <= 214), "{places:?}");
        places.dedup_by(|next, one| *next - *one >= LINE_HEIGHT);
        assert_eq!(places.len(), 1, "{places:?}");
    }

    #[test]
    fn day_without_a_figure_interrupts_the_line_and_names_are_escaped() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let points = ["2026-11-01", "2026-11-02", "2026-11-04", "2026-11-05", "2026-11-07"];
        let series = Series { name: "<b>&\"".into(), points: points.map(|text| (day(text), 0.5)).to_vec() };
        let period = Period { first: day("2026-11-01"), last: day("2026-11-07") };
        let lines = Lines { format: Format::Share, period, series: vec![series], doubtful: vec![day("2026-11-03")] };
        let svg = lines.svg(SIZES[0], "A \"title\"", "text").unwrap();
        let color = "stroke=\"#0B5FA5\"";
        assert_eq!(svg.lines().filter(|line| line.contains("<polyline") && line.contains(color)).count(), 2, "{svg}");
        assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("A &quot;title&quot;") && svg.contains("fill=\"#F6ECD6\""), "{svg}");
    }
}
