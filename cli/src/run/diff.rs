//! `shardpack diff`.

use shardpack_pack::{Dataset, DiffOptions, DiffReport, Difference, Error, Progress, diff};

use super::dataset::Place;
use super::ls::plain;
use crate::args::DiffArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::counted;

pub(super) fn run(args: &DiffArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let (a, b) = (Place::at(&args.a, &args.s3, log)?, Place::at(&args.b, &args.s3, log)?);
    let (a, b) = (a.with_manifest()?, b.with_manifest()?);
    let open = |store| Dataset::open(store).map_err(Error::from);
    let (a, b) = (open(&*a)?, open(&*b)?);
    let options = DiffOptions { most: args.limit, ..DiffOptions::default() };
    let report = diff(&a, &b, &options, &Progress::default())?;
    match (args.report.json, args.report.quiet) {
        (true, _) => output.json(&report)?,
        (false, true) => {}
        (false, false) => print(&report, output)?,
    }
    Ok(if report.is_same() { Exit::Done } else { Exit::Damage })
}

fn print(report: &DiffReport, output: &mut Output) -> Result<()> {
    for difference in &report.differences {
        output.line(&line(difference))?;
    }
    let total = report.only_in_a + report.only_in_b + report.changed;
    let listed = report.differences.len() as u64;
    if listed < total {
        output.line(&format!("... and {} more (--limit)", total - listed))?;
    }
    output.line(&format!(
        "{} the same, {} changed, {} only in {}, {} only in {}",
        counted(report.same, "sample"),
        report.changed,
        report.only_in_a,
        report.a,
        report.only_in_b,
        report.b
    ))
}

/// As `diff` marks lines: `-` is the first, `+` the second.
fn line(difference: &Difference) -> String {
    match difference {
        Difference::OnlyInA { key } => format!("- {}", plain(key)),
        Difference::OnlyInB { key } => format!("+ {}", plain(key)),
        Difference::Changed { key, label, fields_only_in_a, fields_only_in_b, fields_changed } => {
            let mut parts = Vec::new();
            let named = |sign: &str, names: &[String]| -> Vec<String> {
                names.iter().map(|name| format!("{sign}{}", plain(name))).collect()
            };
            parts.extend(label.then(|| "label".to_owned()));
            parts.extend(named("", fields_changed));
            parts.extend(named("-", fields_only_in_a));
            parts.extend(named("+", fields_only_in_b));
            format!("~ {}: {}", plain(key), parts.join(", "))
        }
    }
}
