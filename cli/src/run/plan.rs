//! What `--dry-run` prints.

use shardpack_pack::{PackOptions, PlanReport, PlannedShard};

use super::shuffle_score;
use crate::exit::Result;
use crate::output::Output;
use crate::size::{ByteSize, bytes, count, counted};

/// A plan of more shards is shown by its first and last ones.
const SHARDS: usize = 12;
/// How many of the last.
const LAST: usize = 3;

pub(super) fn print(
    plan: &PlanReport,
    source: &str,
    options: &PackOptions,
    output: &mut Output,
) -> Result<()> {
    output.line(&format!(
        "format   {}, order {}, target {}",
        options.format,
        options.order,
        ByteSize(options.target)
    ))?;
    output.line(&format!(
        "source   {source}: {}, {}",
        counted(plan.files, "file"),
        bytes(plan.file_bytes)
    ))?;
    output.line(&format!("samples  {}", count(plan.samples)))?;
    for (fields, samples) in &plan.field_sets {
        output.line(&format!("         {} with {fields}", count(*samples)))?;
    }
    for (reason, number) in &plan.skipped {
        output.line(&format!("left out {}: {reason}", count(*number)))?;
    }
    output.line(&format!(
        "shards   {}, {}, balance {:.3} (smallest over largest)",
        count(plan.shards.len() as u64),
        bytes(plan.shard_bytes),
        plan.balance
    ))?;
    shards(&plan.shards, output)?;
    for mixing in &plan.mixing {
        output.line(&format!("shuffle  {}", shuffle_score::text(mixing)))?;
    }
    output.line(&format!(
        "memory   {} for the plan, at most {} for buffers",
        bytes(plan.plan_memory),
        ByteSize(plan.buffer_memory)
    ))?;
    output.line("nothing was written (--dry-run)")
}

fn shards(shards: &[PlannedShard], output: &mut Output) -> Result<()> {
    let width = shards.iter().map(|shard| shard.path.len()).max().unwrap_or(0);
    let row = |shard: &PlannedShard| {
        let samples = counted(shard.samples, "sample");
        format!("         {:width$}  {samples:>16}  {:>15} bytes", shard.path, count(shard.bytes))
    };
    let hidden = match shards.len() {
        few if few <= SHARDS => 0..0,
        many => SHARDS - LAST..many - LAST,
    };
    for (i, shard) in shards.iter().enumerate() {
        if i == hidden.start && !hidden.is_empty() {
            output.line(&format!("         and {} more", count(hidden.len() as u64)))?;
        }
        if !hidden.contains(&i) {
            output.line(&row(shard))?;
        }
    }
    Ok(())
}
