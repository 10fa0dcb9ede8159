//! Which of the training processes this one is.

use crate::container::{Env, utf8};
use crate::{Error, Rank, ResourceConfig, Result};

/// The place of a process among all of a job, and among those of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// From 0.
    pub rank: u32,
    /// How many processes the job has.
    pub world: u32,
    /// From 0, on this host; not every launcher tells it.
    pub local_rank: Option<u32>,
    /// How many processes this host has; not every launcher tells it.
    pub local_world: Option<u32>,
}

/// The variables of a launcher. Several names are tried in order.
struct Launcher {
    rank: &'static str,
    world: &'static [&'static str],
    local_rank: &'static str,
    local_world: Option<&'static str>,
}

/// torchrun, and scripts that set the same by hand.
const PROCESS_GROUP: Launcher = Launcher {
    rank: "RANK",
    world: &["WORLD_SIZE"],
    local_rank: "LOCAL_RANK",
    local_world: Some("LOCAL_WORLD_SIZE"),
};

/// mpirun of Open MPI.
const OPEN_MPI: Launcher = Launcher {
    rank: "OMPI_COMM_WORLD_RANK",
    world: &["OMPI_COMM_WORLD_SIZE"],
    local_rank: "OMPI_COMM_WORLD_LOCAL_RANK",
    local_world: Some("OMPI_COMM_WORLD_LOCAL_SIZE"),
};

/// mpiexec of MPICH, Intel MPI and MVAPICH.
const PMI: Launcher = Launcher {
    rank: "PMI_RANK",
    world: &["PMI_SIZE"],
    local_rank: "MPI_LOCALRANKID",
    local_world: Some("MPI_LOCALNRANKS"),
};

/// srun. In an interactive shell `SLURM_NTASKS` is what the allocation has room for, and only the
/// other one says that the shell is a single task.
const SLURM: Launcher = Launcher {
    rank: "SLURM_PROCID",
    world: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
    local_rank: "SLURM_LOCALID",
    local_world: None,
};

/// torchrun sets this, and nobody does by hand.
const TORCHRUN: &str = "TORCHELASTIC_RUN_ID";

/// What a launcher says, and in which variables.
#[derive(Debug)]
struct Found {
    ranks: Ranks,
    names: [&'static str; 2],
}

impl Ranks {
    /// A process that is alone.
    pub const ALONE: Self = Self { rank: 0, world: 1, local_rank: Some(0), local_world: Some(1) };

    /// What the launcher of this process says in the environment; `None` without one.
    ///
    /// Read are, best first, `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE` (torchrun and
    /// scripts), `OMPI_COMM_WORLD_*` (Open MPI), `PMI_RANK`, `PMI_SIZE` (MPICH, Intel MPI) and
    /// `SLURM_PROCID`, `SLURM_NTASKS`, `SLURM_LOCALID` (srun). Empty ones count as unset.
    ///
    /// Launchers run inside of each other: srun starts one torchrun a host, and mpirun starts its
    /// daemons by srun. So torchrun is believed before everything, and mpirun before srun. `RANK`
    /// without torchrun is somebody's script; it may divide the processes of the launcher around
    /// it further (a larger `WORLD_SIZE`), but not contradict it.
    ///
    /// Fails with [`ErrorKind::Variables`](crate::ErrorKind::Variables) for such contradictions,
    /// for a rank without a world and the other way round, and in a Slurm batch script of several
    /// tasks that does not use srun: nothing there tells one process from the next.
    pub fn from_env(env: Env<'_>) -> Result<Option<Self>> {
        Ok(find(env)?.map(|found| found.ranks))
    }

    /// The same, and without a launcher one process a host; alone without hosts.
    ///
    /// Fails also when the launcher knows fewer processes than there are hosts in this host's
    /// instance group: then each host would believe itself alone, and read what the others read.
    pub fn find(env: Env<'_>, hosts: Option<&ResourceConfig>) -> Result<Self> {
        let Some(Found { ranks, names }) = find(env)? else {
            let Some(Rank { rank, world }) = hosts.map(ResourceConfig::rank) else {
                return Ok(Self::ALONE);
            };
            return Ok(Self { rank, world, ..Self::ALONE });
        };
        let group = hosts.map(|hosts| match hosts.current_group() {
            Some(group) => group.hosts.len(),
            None => hosts.hosts().len(),
        });
        match group {
            Some(hosts) if (ranks.world as usize) < hosts => Err(Error::variables(
                names,
                format!(
                    "rank {} of {}, but the job has {hosts} hosts; launch one job over all of them, or unset them for one process a host",
                    ranks.rank, ranks.world
                ),
            )),
            _ => Ok(ranks),
        }
    }
}

fn find(env: Env<'_>) -> Result<Option<Found>> {
    let inner = PROCESS_GROUP.found(env)?;
    if inner.is_some() && set(env, TORCHRUN).is_some() {
        return Ok(inner);
    }
    let mpi = match (OPEN_MPI.found(env)?, PMI.found(env)?) {
        (Some(a), Some(b)) => Some(agreed(a, &b)?),
        (a, b) => a.or(b),
    };
    let outer = match mpi {
        Some(mpi) => Some(mpi),
        None => slurm(env, inner.is_some())?,
    };
    match (inner, outer) {
        (Some(inner), Some(outer)) => agreed(inner, &outer).map(Some),
        (inner, outer) => Ok(inner.or(outer)),
    }
}

/// The inner one, unless the outer one, of several processes, cannot have it inside.
fn agreed(inner: Found, outer: &Found) -> Result<Found> {
    let (i, o) = (inner.ranks, outer.ranks);
    if i.world > o.world || (i.world, i.rank) == (o.world, o.rank) {
        return Ok(inner);
    }
    Err(Error::variables(
        inner.names.into_iter().chain(outer.names),
        format!(
            "rank {} of {} contradicts rank {} of {}; unset the wrong ones",
            i.rank, i.world, o.rank, o.world
        ),
    ))
}

/// What srun says. Slurm sets some of its variables where it starts no tasks: in an allocation's
/// shell a count, in a batch script rank 0 and perhaps a count.
fn slurm(env: Env<'_>, known: bool) -> Result<Option<Found>> {
    let Some(procid) = set(env, SLURM.rank) else { return Ok(None) };
    let is_first = utf8(SLURM.rank, procid)? == "0";
    let step_count = set(env, "SLURM_STEP_NUM_TASKS").is_some();
    let in_step = step_count || set(env, "SLURM_STEP_ID").or(set(env, "SLURM_STEPID")).is_some();
    if in_step || !is_first {
        return SLURM.found(env);
    }
    match set(env, "SLURM_NTASKS") {
        Some(count) if count != "1" && !known => Err(Error::variables(
            [SLURM.rank, "SLURM_NTASKS"],
            format!(
                "a batch script for {} tasks that was not started by srun; use srun, or set RANK and WORLD_SIZE",
                count.to_string_lossy()
            ),
        )),
        _ => Ok(None),
    }
}

impl Launcher {
    fn found(&self, env: Env<'_>) -> Result<Option<Found>> {
        let world_name = self.world.iter().copied().find(|name| set(env, name).is_some());
        let rank = number(env, self.rank)?;
        let world = world_name.map_or(Ok(None), |name| number(env, name))?;
        let local_rank = number(env, self.local_rank)?;
        let local_world = self.local_world.map_or(Ok(None), |name| number(env, name))?;
        let name = world_name.or(self.world.last().copied()).unwrap_or_default();
        let (rank, world) = match (rank, world) {
            (Some(rank), Some(world)) => (rank, world),
            (None, None) if local_rank.is_none() && local_world.is_none() => return Ok(None),
            (rank, world) => return Err(self.half_set(rank, world, name)),
        };
        let local_names = [self.local_rank, self.local_world.unwrap_or_default()];
        check(rank, world, [self.rank, name])?;
        check(local_rank.unwrap_or(0), local_world.unwrap_or(u32::MAX), local_names)?;
        if let (Some(local), Some(local_name)) = (local_world, self.local_world)
            && local > world
        {
            let reason = format!("{local} processes on this host, but {world} in all");
            return Err(Error::variables([local_name, name], reason));
        }
        let ranks = Ranks { rank, world, local_rank, local_world };
        Ok(Some(Found { ranks, names: [self.rank, name] }))
    }

    fn half_set(&self, rank: Option<u32>, world: Option<u32>, world_name: &str) -> Error {
        let names = [self.rank, world_name];
        let missing: Vec<&str> =
            [rank.is_none().then_some(self.rank), world.is_none().then_some(world_name)]
                .into_iter()
                .flatten()
                .collect();
        let others = match (rank, world) {
            (None, None) => format!("{} or its like is set, but ", self.local_rank),
            _ => String::new(),
        };
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let missing = missing.join(" and ");
        Error::variables(names, format!("{others}{missing} {verb} missing; set both or neither"))
    }
}

fn check(rank: u32, world: u32, names: [&str; 2]) -> Result<()> {
    match rank < world {
        true => Ok(()),
        false => Err(Error::variables(names, format!("there is no rank {rank} of {world}"))),
    }
}

fn set(env: Env<'_>, name: &str) -> Option<std::ffi::OsString> {
    env(name).filter(|value| !value.is_empty())
}

fn number(env: Env<'_>, name: &str) -> Result<Option<u32>> {
    let Some(value) = set(env, name) else { return Ok(None) };
    let text = utf8(name, value)?;
    let parsed = text.trim().parse();
    parsed.map(Some).map_err(|_| Error::value(name, text, "must be a number from 0"))
}

#[cfg(test)]
mod tests;
