use super::*;

#[test]
fn what_a_killed_agent_left_is_taken_away_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let mut root = Root::claim(home.path()).unwrap();
    root.lay_out(&[("a.json", b"{}".to_vec())]).unwrap();
    let made = Made {
        mounts: vec!["m".into()],
        pipes: vec!["p".into(), "../../x".into()],
        links: vec!["l".into(), "f".into()],
    };
    root.note(made).unwrap();
    root.link("l", Path::new("/tmp")).unwrap();
    root.mount_point("m").unwrap();
    fs::write(root.channel("f"), "a file").unwrap();
    for name in ["p_0", "p_12", "q_0"] {
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, root.channel(name), mode).unwrap();
    }
    fs::write(root.channel("p_x"), "").unwrap();
    assert!(Seat::take(home.path()).unwrap().is_none(), "it is still served");
    drop(root); // as if killed
    let root = Root::claim(home.path()).unwrap();
    let mut left: Vec<_> = fs::read_dir(home.path().join("input/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["f", "p_x", "q_0"]);
    assert!(!root.state().exists());
}
#[test]
fn whoever_serves_hears_that_it_is_to_end() {
    let home = tempfile::tempdir().unwrap();
    let error = down(home.path(), Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::NotServed { .. }), "{error}");
    let root = Root::claim(home.path()).unwrap();
    assert_eq!(root.seat().wish(), None);
    // It does not end: nobody looks. The wish goes with the one who had it.
    let error = down(home.path(), TICK).unwrap_err();
    let own = std::process::id().to_string();
    assert!(matches!(&error, Error::Deaf { process, .. } if *process == own), "{error}");
    assert_eq!(root.seat().wish(), None);
    let (seat, stop) = (Arc::clone(root.seat()), Stop::default());
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| down(home.path(), Duration::from_secs(60)));
        seat.watch(&Stop::default(), &stop);
        assert!(stop.is_set() && seat.wish() == Some(Wish::Down));
        root.tidy();
        drop((root, seat));
        assert_eq!(asks.join().unwrap().unwrap(), Down::Ended);
    });
    assert_eq!(down(home.path(), Duration::ZERO).unwrap(), Down::Nothing);
}

#[test]
fn a_root_that_was_removed_is_noticed_and_goes_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("root");
    let mut root = Root::claim(&path).unwrap();
    root.lay_out(&[]).unwrap();
    root.note(Made { mounts: vec!["m".into()], ..Made::default() }).unwrap();
    root.mount_point("m").unwrap();
    // As far as a mount lets it.
    for folder in [OWN, "input/config", "model", "output", "checkpoints", "code"] {
        fs::remove_dir_all(path.join(folder)).unwrap();
    }
    assert_eq!(root.seat().wish(), Some(Wish::Removed));
    root.tidy();
    assert!(!path.exists());
}
