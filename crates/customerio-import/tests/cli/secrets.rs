use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use customerio_sim::{Script, Simulator};

use crate::world::{API_KEY, Run, SITE_ID, World};

#[track_caller]
fn check_silent(run: &Run, world: &World) {
    let pair = format!("{SITE_ID}:{API_KEY}");
    let mut secrets = vec![
        API_KEY.to_owned(),
        SITE_ID.to_owned(),
        STANDARD.encode(&pair),
        STANDARD.encode(API_KEY),
    ];
    secrets.push(STANDARD_NO_PAD.encode(&pair[..30]));
    let mut written = vec![run.stdout.clone(), run.stderr.clone()];
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        written.push(String::from_utf8(std::fs::read(entry.unwrap().path()).unwrap()).unwrap());
    }
    for secret in secrets {
        assert!(
            written.iter().all(|text| !text.contains(&secret)),
            "{secret}"
        );
    }
}

#[test]
fn secrets_are_in_no_output_whatever_happens() {
    for script in [
        vec![],
        vec![401],
        vec![403],
        vec![400, 400],
        vec![500; 40],
        vec![301],
        vec![429],
    ] {
        let world = World::with(Simulator::builder().script(Script::new(script)));
        let file = world.file("a.csv", "id,a\n1,x\n2,y\n");
        let run = world.run(&format!("people {} --id-column id -vvv", file.display()));
        check_silent(&run, &world);
    }
}

#[test]
fn peoples_data_is_in_no_output() {
    let world = World::with(Simulator::builder().script(Script::new([400, 400, 400])));
    let long = "secret-attribute".repeat(100);
    let file = world.file(
        "a.csv",
        format!("id,a\nada-lovelace,x\n..,secret-attribute\ncharles,{long}\n"),
    );
    let run = world.run(&format!("people {} --id-column id -vvv", file.display()));
    run.check(3, "a.csv:");
    for word in ["ada-lovelace", "secret-attribute", "charles"] {
        assert!(
            !run.stdout.contains(word) && !run.stderr.contains(word),
            "{word}: {}",
            run.stderr
        );
    }
}
