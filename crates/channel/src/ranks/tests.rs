use super::*;
use crate::{ErrorKind, InstanceGroup};

/// `"RANK=3 WORLD_SIZE=8"` as an environment.
fn with<T>(variables: &str, test: impl FnOnce(Env<'_>) -> T) -> T {
    let env = |name: &str| {
        let mut pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value.into())
    };
    test(&env)
}

fn shown(ranks: Ranks) -> String {
    let Ranks { rank, world, local_rank, local_world } = ranks;
    let local = |n: Option<u32>| n.map_or("?".into(), |n| n.to_string());
    format!("{rank}/{world} {}/{}", local(local_rank), local(local_world))
}

#[test]
fn launchers_say_which_process_this_is() {
    for (variables, ranks) in [
        ("", None),
        ("RANK= WORLD_SIZE=", None),
        ("RANK=3 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2", Some("3/8 1/2")),
        ("RANK=3 WORLD_SIZE=8", Some("3/8 ?/?")),
        ("RANK=0 WORLD_SIZE=1 LOCAL_RANK=0", Some("0/1 0/?")),
        (
            "OMPI_COMM_WORLD_RANK=5 OMPI_COMM_WORLD_SIZE=6 OMPI_COMM_WORLD_LOCAL_RANK=2 OMPI_COMM_WORLD_LOCAL_SIZE=3",
            Some("5/6 2/3"),
        ),
        ("PMI_RANK=1 PMI_SIZE=2", Some("1/2 ?/?")),
        ("PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=0 MPI_LOCALNRANKS=1", Some("1/2 0/1")),
        ("SLURM_PROCID=3 SLURM_NTASKS=4 SLURM_LOCALID=1 SLURM_STEP_ID=0", Some("3/4 1/?")),
        ("SLURM_PROCID=3 SLURM_NTASKS=4 SLURM_LOCALID=1", Some("3/4 1/?")),
        ("SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_LOCALID=0 SLURM_STEP_ID=0", Some("0/4 0/?")),
        // A shell in an allocation with room for eight.
        (
            "SLURM_PROCID=0 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=1 SLURM_STEP_ID=4294967290",
            Some("0/1 ?/?"),
        ),
        ("SLURM_NTASKS=8", None),
        // Batch scripts.
        ("SLURM_PROCID=0 SLURM_LOCALID=0", None),
        ("SLURM_PROCID=0 SLURM_NTASKS=1", None),
        ("SLURM_PROCID=0 SLURM_NTASKS=8 RANK=5 WORLD_SIZE=8", Some("5/8 ?/?")),
    ] {
        let found = with(variables, Ranks::from_env).unwrap();
        assert_eq!(found.map(shown).as_deref(), ranks, "{variables}");
    }
}

#[test]
fn launchers_run_inside_of_each_other() {
    const SRUN: &str = "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_ID=0";
    const MPI: &str = "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2";
    for (variables, ranks) in [
        // One torchrun a host, whose ranks need not follow those of its launcher.
        (
            format!("{SRUN} TORCHELASTIC_RUN_ID=x RANK=3 WORLD_SIZE=16 LOCAL_WORLD_SIZE=8"),
            "3/16 ?/8",
        ),
        (format!("{MPI} TORCHELASTIC_RUN_ID=x RANK=0 WORLD_SIZE=2"), "0/2 ?/?"),
        // mpirun's daemons, started by srun on the other hosts.
        ("SLURM_PROCID=0 SLURM_NTASKS=3 SLURM_STEP_ID=1 PMI_RANK=9 PMI_SIZE=20".into(), "9/20 ?/?"),
        // A script that takes over what it found, or divides it further.
        (format!("{SRUN} RANK=1 WORLD_SIZE=2 LOCAL_RANK=0"), "1/2 0/?"),
        (format!("{SRUN} RANK=3 WORLD_SIZE=16"), "3/16 ?/?"),
        (format!("{MPI} PMI_RANK=1 PMI_SIZE=2"), "1/2 ?/?"),
        ("SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_STEP_ID=0 RANK=1 WORLD_SIZE=2".into(), "1/2 ?/?"),
    ] {
        let found = with(&variables, Ranks::from_env).unwrap();
        assert_eq!(found.map(shown).as_deref(), Some(ranks), "{variables}");
    }
}

#[test]
fn errors_name_the_variables() {
    for (variables, said) in [
        ("RANK=3", "RANK, WORLD_SIZE: WORLD_SIZE is missing; set both or neither"),
        ("WORLD_SIZE=3", "RANK, WORLD_SIZE: RANK is missing; set both or neither"),
        (
            "LOCAL_RANK=0",
            "RANK, WORLD_SIZE: LOCAL_RANK or its like is set, but RANK and WORLD_SIZE are missing; set both or neither",
        ),
        ("PMI_RANK=3", "PMI_RANK, PMI_SIZE: PMI_SIZE is missing; set both or neither"),
        (
            "OMPI_COMM_WORLD_SIZE=3 RANK=0 WORLD_SIZE=1",
            "OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE: OMPI_COMM_WORLD_RANK is missing; set both or neither",
        ),
        (
            "SLURM_PROCID=2",
            "SLURM_PROCID, SLURM_NTASKS: SLURM_NTASKS is missing; set both or neither",
        ),
        ("RANK=8 WORLD_SIZE=8", "RANK, WORLD_SIZE: there is no rank 8 of 8"),
        ("RANK=0 WORLD_SIZE=0", "RANK, WORLD_SIZE: there is no rank 0 of 0"),
        (
            "RANK=0 WORLD_SIZE=2 LOCAL_RANK=2 LOCAL_WORLD_SIZE=2",
            "LOCAL_RANK, LOCAL_WORLD_SIZE: there is no rank 2 of 2",
        ),
        (
            "RANK=0 WORLD_SIZE=2 LOCAL_WORLD_SIZE=4",
            "LOCAL_WORLD_SIZE, WORLD_SIZE: 4 processes on this host, but 2 in all",
        ),
        ("RANK=-1 WORLD_SIZE=2", "RANK is \"-1\": must be a number from 0"),
        ("RANK=0 WORLD_SIZE=4294967296", "WORLD_SIZE is \"4294967296\": must be a number from 0"),
        (
            "SLURM_PROCID=0 SLURM_NTASKS=8",
            "SLURM_PROCID, SLURM_NTASKS: a batch script for 8 tasks that was not started by srun; use srun, or set RANK and WORLD_SIZE",
        ),
        // Baked into an image, or exported to every process.
        (
            "RANK=0 WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2",
            "RANK, WORLD_SIZE, OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE: rank 0 of 1 contradicts rank 1 of 2; unset the wrong ones",
        ),
        (
            "RANK=0 WORLD_SIZE=2 SLURM_PROCID=1 SLURM_NTASKS=2",
            "RANK, WORLD_SIZE, SLURM_PROCID, SLURM_NTASKS: rank 0 of 2 contradicts rank 1 of 2; unset the wrong ones",
        ),
        (
            "PMI_RANK=1 PMI_SIZE=2 OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2",
            "OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE, PMI_RANK, PMI_SIZE: rank 0 of 2 contradicts rank 1 of 2; unset the wrong ones",
        ),
    ] {
        assert_eq!(with(variables, Ranks::from_env).unwrap_err().to_string(), said, "{variables}");
    }
}

#[test]
fn a_host_is_one_rank_unless_a_launcher_says_more() {
    let hosts: Vec<String> = (1..=3).map(|i| format!("algo-{i}")).collect();
    let plain = ResourceConfig::new("algo-2", hosts.clone()).unwrap();
    let group = |name: &str, hosts: &[String]| InstanceGroup {
        name: name.into(),
        instance_type: None,
        hosts: hosts.to_vec(),
    };
    let groups = vec![group("cpu", &hosts[..1]), group("gpu", &hosts[1..])];
    let mixed = plain.clone().with_groups(groups).unwrap();
    let find = |variables, hosts| with(variables, |env| Ranks::find(env, hosts)).map(shown);
    assert_eq!(find("", None).unwrap(), "0/1 0/1");
    assert_eq!(find("", Some(&plain)).unwrap(), "1/3 0/1");
    assert_eq!(find("RANK=3 WORLD_SIZE=6", Some(&plain)).unwrap(), "3/6 ?/?");
    assert_eq!(find("RANK=1 WORLD_SIZE=2", Some(&mixed)).unwrap(), "1/2 ?/?");
    let error = find("RANK=1 WORLD_SIZE=2", Some(&plain)).unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::Variables {
            names: vec!["RANK".into(), "WORLD_SIZE".into()],
            reason: "rank 1 of 2, but the job has 3 hosts; launch one job over all of them, or unset them for one process a host".into()
        }
    );
}
