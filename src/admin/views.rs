//! What a sample looks like on the page: the matrix of sites, and the lists of sources.

use super::chart::row_bar;
use super::sample::Sample;
use super::text::{count, moment};

/// The most sites in the picture: what one can still look over. The others are in the table behind it.
pub const SITES_SHOWN: usize = 60;

/// Up to so many sites there is room for more than a number in each cell.
const SMALL: usize = 8;

const SOURCES_SHOWN: usize = 12;

/// The matrix of sites.
pub struct Matrix {
    /// What it rests on.
    pub basis: String,
    /// Sites that are not in it.
    pub left_out: usize,
    /// Whether there is room for more than a number in each cell.
    pub is_small: bool,
    /// A row for each site, the one with the most visitors first; the columns are in the same order.
    pub rows: Vec<Row>,
}

/// One site.
pub struct Row {
    /// Its origin.
    pub site: String,
    /// The same without the scheme.
    pub name: String,
    /// How many visitors it has in the sample.
    pub visitors: String,
    /// One for each site.
    pub cells: Vec<Cell>,
}

/// Two sites.
#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its colour.
    pub class: &'static str,
    /// Their common visitors, of all visitors of the one.
    pub share: String,
    /// How many that are.
    pub count: String,
    /// The same in a sentence.
    pub title: String,
}

impl Matrix {
    /// The matrix of a sample.
    #[must_use]
    pub fn of(sample: &Sample) -> Self {
        let mut order: Vec<_> = (0..sample.sites.len()).collect();
        order.sort_by_key(|site| std::cmp::Reverse(sample.both(*site, *site)));
        let left_out = order.len().saturating_sub(SITES_SHOWN);
        order.truncate(SITES_SHOWN);
        let is_small = order.len() <= SMALL;
        let row = |one: &usize| Row {
            site: sample.sites[*one].clone(),
            name: name(&sample.sites[*one]).to_owned(),
            visitors: count(sample.both(*one, *one).into()),
            cells: order.iter().map(|other| cell(sample, *one, *other, is_small)).collect(),
        };
        Self { basis: basis(sample), left_out, is_small, rows: order.iter().map(row).collect() }
    }
}

fn basis(sample: &Sample) -> String {
    let (records, total, at) = (count(sample.records), count(sample.total), moment(sample.at));
    if sample.is_whole {
        format!("From all {records} records, read at {at} UTC.")
    } else {
        format!("From a sample of {records} of about {total} records, read at {at} UTC.")
    }
}

fn name(site: &str) -> &str {
    site.split_once("://").map_or(site, |(_, name)| name)
}

fn cell(sample: &Sample, one: usize, other: usize, is_small: bool) -> Cell {
    let (both, all) = (sample.both(one, other), sample.both(one, one));
    let title = format!(
        "{} of {} visitors of {} were also seen on {}",
        count(both.into()),
        count(all.into()),
        name(&sample.sites[one]),
        name(&sample.sites[other])
    );
    if one == other {
        let share = if is_small { count(all.into()) } else { String::new() };
        return Cell { class: "self", share, count: "visitors".into(), title: format!("{} visitors", count(all.into())) };
    }
    let share = if all == 0 { 0.0 } else { f64::from(both) * 100.0 / f64::from(all) };
    let number = match share {
        _ if both == 0 => "·".to_owned(),
        share if share < 0.5 => "<1".to_owned(),
        share => format!("{share:.0}"),
    };
    let unit = if is_small && both > 0 { " %" } else { "" };
    let of = if all == 0 { String::new() } else { format!("{} of {}", count(both.into()), count(all.into())) };
    Cell { class: heat(share, both), share: number + unit, count: of, title }
}

fn heat(share: f64, both: u32) -> &'static str {
    const STEPS: [(f64, &str); 6] = [(2.0, "h1"), (5.0, "h2"), (10.0, "h3"), (20.0, "h4"), (35.0, "h5"), (60.0, "h6")];
    if both == 0 {
        return "h0";
    }
    STEPS.into_iter().find(|(most, _)| share <= *most).map_or("h7", |(_, class)| class)
}

/// A source in a list.
pub struct SourceRow {
    /// What it is.
    pub name: String,
    /// How it compares to the first, drawn. Safe as it is.
    pub bar: String,
    /// How many visitors it brought.
    pub count: String,
}

/// The first of a list, and what is behind them together.
#[must_use]
pub fn source_rows(sources: &[(String, u64)]) -> Vec<SourceRow> {
    let most = sources.first().map_or(1, |(_, count)| *count).max(1);
    let row = |name: &str, visitors: u64| SourceRow {
        name: name.to_owned(),
        bar: row_bar(visitors as f64 / most as f64),
        count: count(visitors),
    };
    let (shown, rest) = sources.split_at(sources.len().min(SOURCES_SHOWN));
    let more: u64 = rest.iter().map(|(_, visitors)| visitors).sum();
    let behind = (!rest.is_empty()).then(|| row(&format!("{} more", count(rest.len() as u64)), more));
    shown.iter().map(|(name, visitors)| row(name, *visitors)).chain(behind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hotter_the_cell_the_larger_the_share() {
        let steps = [0.1, 2.0, 4.0, 9.0, 19.0, 34.0, 59.0, 100.0].map(|share| heat(share, 1));
        assert_eq!(steps, ["h1", "h1", "h2", "h3", "h4", "h5", "h6", "h7"]);
        assert_eq!(heat(0.0, 0), "h0");
    }

    #[test]
    fn a_long_list_ends_with_what_is_behind_it() {
        let sources: Vec<_> = (0..20).map(|number| (format!("{number}.example"), 20 - number)).collect();
        let rows = source_rows(&sources);
        assert_eq!(rows.len(), SOURCES_SHOWN + 1);
        assert_eq!((rows[12].name.as_str(), rows[12].count.as_str()), ("8 more", "36"));
        assert!(source_rows(&[]).is_empty());
    }
}
