//! Which storage, input mode and shard size a training job should use, and why.
//!
//! [`advise`] takes what the data is ([`Data`]) and what is known of the job ([`Job`]), asks the
//! [rules], and answers with the way the data should take, the reasons, what each other way
//! would cost, and what nobody told. [`simulate`] plays the reading of a list of objects through a
//! [`Model`] of a way.
//!
//! This crate is pure: values go in, values come out. It opens no file and starts no thread.
//!
//! ```
//! use shardpack_advise::{Data, Home, Job, Prices, Way, advise};
//!
//! // A million and a half photographs on S3: AWS's own benchmark.
//! let data = Data::new(Home::S3, vec![39_000; 1_530_350]);
//! let answer = advise(&data, &Job::default(), &Prices::default())?;
//! assert!(answer.serialise);
//! assert_eq!(answer.shards.count, 398);
//! assert_eq!(answer.choice, Way::FastFile);
//! assert!(answer.unknown.iter().any(|unknown| unknown.what == "hours of training"));
//! # Ok::<(), shardpack_advise::Error>(())
//! ```
//!
//! Rules and rates are facts with sources. What no source tells is not made up: it is named in
//! [`Answer::unknown`].

mod answer;
mod data;
mod decide;
mod error;
mod estimate;
mod facts;
mod job;
mod price;
pub mod rates;
mod rule;
pub mod rules;
mod shards;
mod simulate;
mod way;

#[cfg(test)]
mod golden;

pub use answer::{Answer, Runner, Summary, Unknown, advise};
pub use data::{Bucket, Data, Home, Part, Quantiles};
pub use decide::{Finding, Outcome};
pub use error::{Error, Result};
pub use estimate::Estimate;
pub use facts::{Fact, SMALL, Unit};
pub use job::{Access, Job};
pub use price::Prices;
pub use rule::{Branch, Check, Next, Rule, Source, Test};
pub use shards::Shards;
pub use simulate::{HostRun, Model, Run, simulate};
pub use way::Way;
