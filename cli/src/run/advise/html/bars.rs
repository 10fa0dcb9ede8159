//! Bars: lengths of files, and the time that each way takes.

use std::fmt::Write;

use shardpack_advise::{Answer, Estimate, Unit};

/// Files by length, shortest first: how many, and how much of the bytes.
pub(super) fn histogram(answer: &Answer) -> String {
    let buckets = &answer.data.histogram;
    let most = |of: fn(&shardpack_advise::Bucket) -> u64| buckets.iter().map(of).max().unwrap_or(0);
    let (files, bytes) = (most(|bucket| bucket.files), most(|bucket| bucket.bytes));
    let mut body = String::from(
        "<p class=\"key\"><i class=\"one\"></i> files <i class=\"two\"></i> bytes</p>\n<div class=\"bars\">\n",
    );
    for bucket in buckets {
        let label = format!("from {}", Unit::Bytes.show(bucket.from as f64));
        let value = format!(
            "{}, {}",
            Unit::Count.show(bucket.files as f64),
            Unit::Bytes.show(bucket.bytes as f64)
        );
        let bars = [("one", share(bucket.files, files)), ("two", share(bucket.bytes, bytes))];
        row(&mut body, &label, &bars, &value, false);
    }
    body.push_str("</div>\n");
    body
}

/// Seconds of each way: what it takes to start, and the epoch where that is known.
pub(super) fn times(estimates: &[Estimate]) -> String {
    let all = |estimate: &Estimate| estimate.start + estimate.epoch.unwrap_or(0.0);
    let most = estimates.iter().map(all).fold(f64::MIN_POSITIVE, f64::max);
    let known = estimates.iter().any(|estimate| estimate.epoch.is_some());
    let mut body = String::from("<p class=\"key\"><i class=\"one\"></i> start");
    body.push_str(match known {
        true => " <i class=\"two\"></i> one epoch, at least</p>\n",
        false => "; the epoch is unknown without --consume</p>\n",
    });
    body.push_str("<div class=\"bars\">\n");
    for estimate in estimates {
        let epoch = estimate.epoch.unwrap_or(0.0);
        let bars = [("one", estimate.start / most), ("two", epoch / most)];
        let value = match estimate.epoch {
            Some(epoch) => {
                format!("{} + {}", Unit::Seconds.show(estimate.start), Unit::Seconds.show(epoch))
            }
            None => Unit::Seconds.show(estimate.start),
        };
        row(&mut body, estimate.way.title(), &bars, &value, true);
    }
    body.push_str("</div>\n");
    body
}

fn share(part: u64, most: u64) -> f64 {
    part as f64 / most.max(1) as f64
}

/// One line: a label, bars behind one another or (not `stacked`) one below the other, a value.
fn row(body: &mut String, label: &str, bars: &[(&str, f64)], value: &str, stacked: bool) {
    let class = if stacked { "bar stacked" } else { "bar" };
    let _ = write!(body, "<span>{label}</span><div class=\"{class}\">"); // a String takes all
    for (class, share) in bars {
        let _ = write!(body, "<i class=\"{class}\" style=\"width:{:.2}%\"></i>", 100.0 * share);
    }
    let _ = writeln!(body, "</div><span>{value}</span>");
}
