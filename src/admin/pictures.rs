//! The pictures of a day, from its parts.

use std::time::Duration;

use crate::http::event::Work;

use super::chart::{self, Column, lines, stacked_bars};
use super::histogram::BOUNDS;
use super::history::{Minute, Series};
use super::text::{brief, time_of_day};

/// A picture, its legend, and where its numbers are.
pub struct Picture {
    /// What it shows.
    pub title: &'static str,
    /// The name of its table.
    pub data: &'static str,
    /// The number of each colour, and what it stands for.
    pub legend: Vec<chart::Series>,
    /// The drawing. Safe as it is.
    pub svg: String,
}

/// Stacked bars of counts: what is counted, its colour and its name.
#[must_use]
pub fn hops(title: &'static str, day: &[Minute], series: &[(Series, chart::Series)]) -> Picture {
    let values = |part: &Minute| series.iter().map(|(series, _)| Some(part.totals.count(*series) as f64)).collect();
    let columns: Vec<_> = day.iter().map(|part| column(part, values(part))).collect();
    let legend: Vec<_> = series.iter().map(|(_, drawn)| *drawn).collect();
    Picture { title, data: "hops", svg: stacked_bars(title, &legend, &columns), legend }
}

/// Lines of quantiles.
#[must_use]
pub fn latency(title: &'static str, day: &[Minute], work: Work) -> Picture {
    const QUANTILES: [(chart::Series, f64); 3] = [((0, "median"), 0.5), ((1, "95 of 100"), 0.95), ((2, "99 of 100"), 0.99)];
    let columns: Vec<_> = day
        .iter()
        .map(|part| {
            let times = part.totals.times(work);
            column(part, QUANTILES.map(|(_, quantile)| times.quantile(quantile).map(|time| time.as_secs_f64())).to_vec())
        })
        .collect();
    let legend = QUANTILES.map(|(drawn, _)| drawn).to_vec();
    let (lowest, highest) = (BOUNDS[0].as_secs_f64() / 2.5, BOUNDS[BOUNDS.len() - 1].as_secs_f64() * 2.0);
    let svg = lines(title, &legend, &columns, (lowest, highest), |seconds| brief(Duration::from_secs_f64(seconds)));
    Picture { title, data: "latency", svg, legend }
}

/// Every third hour has its time below.
fn column(part: &Minute, values: Vec<Option<f64>>) -> Column {
    let name = time_of_day(part.at);
    let label = if part.at.0.is_multiple_of(3 * 3600) { name.clone() } else { String::new() };
    Column { label, name, values }
}
