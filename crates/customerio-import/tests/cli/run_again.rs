use crate::world::{World, finish};

#[test]
fn a_finished_run_is_not_sent_again() {
    let world = World::new();
    let file = world.file("a.csv", "id,a\n1,x\n.,y\n");
    let line = format!("people {} --id-column id", file.display());
    world.run(&line).check(3, "");
    let first = world.report();
    let requests = world.simulator.books().requests;

    let run = world.run(&line);
    run.check(3, "");
    assert!(
        run.stdout
            .contains("2 records: 1 accepted, 1 rejected, 0 unknown, 0 not sent"),
        "{}",
        run.stdout
    );
    assert_eq!(world.report(), first);
    assert_eq!(world.simulator.books().requests, requests);

    world.run(&format!("{line} --again")).check(3, "");
    assert_eq!(world.simulator.books().requests, requests + 1);
}

#[test]
fn a_journal_is_of_one_destination_mapping_and_content() {
    let (world, other) = (World::new(), World::new());
    let file = world.file("a.csv", "id,a\n1,x\n");
    let line = format!("people {} --id-column id", file.display());
    world.run(&line).check(0, "");
    let journal = format!("--journal {}.cio-journal", file.display());
    other
        .run(&format!("{line} {journal}"))
        .check(1, "the base URL differs");
    world
        .run(&format!("people {} --id-column a", file.display()))
        .check(1, "the mapping of columns differs");
    let mut command = world.command(&line);
    command.env("CUSTOMERIO_SITE_ID", "another");
    finish(command, b"").check(1, "the site id differs");
    world.file("a.csv", "id,a\n1,y\n");
    world
        .run(&line)
        .check(1, "the content of the file or the import id differs");
    assert_eq!(
        (
            world.simulator.books().requests,
            other.simulator.books().requests
        ),
        (1, 0)
    );
}

#[cfg(unix)]
#[test]
fn files_about_people_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let world = World::new();
    let file = world.file("a.csv", "id,a\n1,x\n");
    let rejects = world.folder.path().join("rejects");
    world
        .run(&format!(
            "people {} --id-column id --rejects {}",
            file.display(),
            rejects.display()
        ))
        .check(0, "");
    for name in ["a.csv.cio-journal", "rejects", "report.json"] {
        let mode = std::fs::metadata(world.folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
