//! The answer as one page: nothing in it is fetched from elsewhere, and there is no script.

mod bars;
mod path;

use std::fmt::Write;

use shardpack_advise::{Answer, Estimate, Finding, Outcome, Unit};

use super::{advice, text};

const STYLE: &str = include_str!("style.css");

/// The page.
pub(super) fn page(answer: &Answer, name: &str) -> String {
    let name = escape(name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>shardpack advise: {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    page.push_str(&head(answer, &name));
    page.push_str(&section("Estimates", &estimates(answer)));
    page.push_str(&section("How the answer came about", &path::draw(answer)));
    let lengths = escape(&text::lengths(&answer.data));
    let lengths = format!("{}<p>{lengths}</p>\n", bars::histogram(answer));
    page.push_str(&section("Lengths of the files", &lengths));
    page.push_str(&notes(answer));
    page.push_str(&section("All rules", &rules(answer)));
    page.push_str(&foot(answer));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}</section>\n")
}

fn head(answer: &Answer, name: &str) -> String {
    let data = &answer.data;
    let formats: Vec<String> = data
        .formats
        .iter()
        .map(|(ending, count)| format!("{} {}", escape(ending), Unit::Count.show(*count as f64)))
        .collect();
    let files = Unit::Count.show(data.files as f64);
    let kind = if data.packed { "shards" } else { "files" };
    let runner = match &answer.runner_up {
        Some(runner) => format!(
            "Runner-up: <b>{}</b>, which lost by: {}",
            runner.way.title(),
            escape(&runner.reason)
        ),
        None => "No single answer would change it.".into(),
    };
    format!(
        "<header>\n<p class=\"name\">{name}</p>\n<h1>{}</h1>\n\
         <p>{files} {kind}, {}: {}</p>\n<p>{runner}</p>\n</header>\n",
        escape(&capital(&advice(answer))),
        Unit::Bytes.show(data.bytes as f64),
        formats.join(", ")
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn estimates(answer: &Answer) -> String {
    let mut body = bars::times(&answer.estimates);
    body.push_str(
        "<div class=\"scroll\"><table>\n<tr><th>Way</th><th>Start</th><th>First batch</th><th>Epoch</th>\
         <th>GETs</th><th>LISTs</th><th>Disk</th><th>Cost</th></tr>\n",
    );
    answer.estimates.iter().for_each(|estimate| body.push_str(&row(estimate)));
    body.push_str("</table></div>\n<ul class=\"small\">\n");
    for Estimate { way, caveat, .. } in &answer.estimates {
        body.push_str(&format!("<li>{}: {}</li>\n", way.title(), escape(caveat)));
    }
    body.push_str("</ul>\n");
    body
}

fn row(estimate: &Estimate) -> String {
    let seconds = |seconds: f64| Unit::Seconds.show(seconds);
    format!(
        "<tr><th>{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        estimate.way.title(),
        seconds(estimate.start),
        seconds(estimate.first_batch),
        estimate.epoch.map_or("unknown".into(), seconds),
        Unit::Count.show(estimate.gets as f64),
        Unit::Count.show(estimate.lists as f64),
        Unit::Bytes.show(estimate.disk as f64),
        escape(&text::cost(estimate))
    )
}

/// Trouble to expect, and what nobody told.
fn notes(answer: &Answer) -> String {
    let list = |title: &str, items: Vec<String>| match items.is_empty() {
        true => String::new(),
        false => section(title, &format!("<ul>\n{}</ul>\n", items.concat())),
    };
    let met = answer.checks.iter().filter(|check| check.outcome == Outcome::Yes);
    let met = met.map(|check| {
        let evidence = escape(&check.evidence());
        let says = escape(check.says.unwrap_or_default());
        format!("<li><b>{}</b> {evidence}<br>{says}</li>\n", escape(check.asks))
    });
    let unknown = answer.unknown.iter().map(|unknown| {
        format!("<li><b>{}</b>: {}</li>\n", escape(unknown.what), escape(&unknown.hangs))
    });
    list("To look at", met.collect()) + &list("Unknown", unknown.collect())
}

fn rules(answer: &Answer) -> String {
    let mut body = String::from(
        "<div class=\"scroll\"><table class=\"rules\">\n\
         <tr><th>Rule</th><th>Question</th><th>Value and threshold</th><th>Source</th></tr>\n",
    );
    for finding in answer.rules.iter().chain(&answer.checks) {
        body.push_str(&rule(finding));
    }
    body.push_str("</table></div>\n<p class=\"small\">Faint rules made no difference.</p>\n");
    body
}

fn rule(finding: &Finding) -> String {
    let faint = finding.says.is_none() && !finding.on_path;
    let source = match finding.source.url {
        "" => escape(finding.source.document),
        url => format!("<a href=\"{}\">{}</a>", escape(url), escape(finding.source.document)),
    };
    format!(
        "<tr{}><td><code>{}</code></td><td>{}</td><td>{}</td><td>{source}</td></tr>\n",
        if faint { " class=\"faint\"" } else { "" },
        escape(finding.id),
        escape(finding.asks),
        escape(&finding.evidence())
    )
}

fn foot(answer: &Answer) -> String {
    let prices = &answer.prices;
    format!(
        "<footer>Prices in US dollars, {}, {}: {}. Times are orders of magnitude: they rest on \
         published figures of one instance.</footer>\n",
        escape(&prices.region),
        escape(&prices.date),
        escape(&prices.source)
    )
}

/// Text that may hold anything, for a page.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => {
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c)); // a String takes all
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardpack_advise::{Data, Home, Job, Prices, advise};

    fn answer(prices: &Prices) -> Answer {
        let mut data = Data::new(Home::S3, vec![39_000; 5000]);
        data.formats = vec![("<b>".into(), 5000)];
        advise(&data, &Job::default(), prices).expect("an answer")
    }

    #[test]
    fn names_from_outside_are_text() {
        let mut prices = Prices::default();
        prices.source = "</footer><script>alert(1)</script>".into();
        let page = page(&answer(&prices), "s3://b/<script>alert('x')</script>\u{7}");
        assert!(!page.contains("<script") && !page.contains("<b>  5,000"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\\u{7}"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page(&answer(&Prices::default()), "x");
        for fetching in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!page.contains(fetching), "{fetching}");
        }
    }

    #[test]
    fn every_rule_is_on_the_page_and_every_element_ends() {
        let answer = answer(&Prices::default());
        let page = page(&answer, "x");
        for finding in answer.rules.iter().chain(&answer.checks) {
            assert!(page.contains(&format!("<code>{}</code>", finding.id)), "{}", finding.id);
        }
        for element in ["section", "table", "tr", "td", "th", "svg", "g", "text", "div", "ul", "li"]
        {
            let opened = page.matches(&format!("<{element}>")).count()
                + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
    }
}
