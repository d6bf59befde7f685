//! Each kind of record, and values of each type, as they arrive at the API.

use serde_json::json;

use crate::fixture::{Fixture, finish};

#[test]
fn values_arrive_as_they_were_meant() {
    let fixture = Fixture::new();
    let file = fixture.file(
        "a.csv",
        "id,zip,age,score,vip,joined,tags,gone\n\
         1,00123,36,1.5,yes,2024-01-02T03:04:05+01:00,\"[\"\"a\"\",1]\",\n\
         2,00123,N/A,1.5,no,2024-01-02T03:04:05Z,,x\n",
    );
    let line = format!(
        "people {} --id-column id --type age=int --type score=float --type vip=bool \
         --type joined=timestamp --timestamp-format rfc3339 --type tags=json --null N/A --map zip=postcode \
         --set source=shop --set level=3 --type level=int",
        file.display()
    );
    fixture.run(&line).check(0, "");
    let person = |id| {
        let attributes = fixture.simulator.person(id).unwrap().attributes;
        serde_json::Value::Object(attributes)
    };
    let mut one = person("1");
    let mut two = person("2");
    // The simulator adds the identifiers.
    for person in [&mut one, &mut two] {
        person.as_object_mut().unwrap().remove("id");
    }
    let expected = json!({
        "postcode": "00123", "age": 36, "score": 1.5, "vip": true, "joined": 1_704_161_045,
        "tags": ["a", 1], "source": "shop", "level": 3,
    });
    assert_eq!(one, expected);
    let expected = json!({
        "postcode": "00123", "score": 1.5, "vip": false, "joined": 1_704_164_645, "gone": "x",
        "source": "shop", "level": 3,
    });
    assert_eq!(two, expected);
}

#[test]
fn empty_values_remove_attributes_only_when_told() {
    let fixture = Fixture::new();
    let full = fixture.file("a.csv", "id,a,b\n1,x,y\n");
    let empty = fixture.file("b.csv", "id,a,b\n1,,z\n");
    let line = |path: &std::path::Path| format!("people {} --id-column id", path.display());
    fixture.run(&line(&full)).check(0, "");
    fixture.run(&line(&empty)).check(0, "");
    let has = |name: &str| {
        let person = fixture.simulator.person("1").unwrap();
        person.attributes.contains_key(name)
    };
    assert!(has("a"));
    let line = format!("{} --empty remove --no-journal", line(&empty));
    let run = fixture.run_unconfirmed(&line);
    run.check(
        1,
        "removals: 1 attribute is removed by 1 record with empty values, the first on line 2",
    );
    assert!(has("a"));
    fixture.run(&line).check(0, "");
    assert!(!has("a") && has("b"));
}

#[test]
fn people_who_said_no_are_not_subscribed_without_a_question() {
    let fixture = Fixture::new();
    let file = fixture.file(
        "a.csv",
        "id,unsubscribed,cio_subscription_preferences.topics.topic_1\n1,TRUE,\n2,yes,no\n3,0,false\n",
    );
    let line = format!("people {} --id-column id", file.display());
    let run = fixture.run_unconfirmed(&line);
    run.check(1, r#"booleans: 1 record has a value in "unsubscribed""#);
    run.check(
        1,
        r#"2 records have a value in "cio_subscription_preferences.topics.topic_1""#,
    );
    assert_eq!(fixture.simulator.totals().requests, 0);
    let typed = format!(
        "{line} --type unsubscribed=bool --type cio_subscription_preferences.topics.topic_1=bool"
    );
    let run = fixture.run(&typed);
    run.check(0, "");
    assert!(!run.stdout.contains("booleans:"), "{}", run.stdout);
    let person = |id| fixture.simulator.person(id).unwrap().attributes;
    assert_eq!(person("2")["unsubscribed"], true);
    assert_eq!(person("3")["unsubscribed"], false);
}

#[test]
fn with_update_only_no_person_is_created() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,a\n1,x\n2,y\n");
    let one = fixture.file("b.csv", "id,a\n1,z\n");
    let people = |path: &std::path::Path| format!("people {} --id-column id", path.display());
    fixture.run(&people(&one)).check(0, "");
    fixture
        .run(&format!("{} --update-only", people(&file)))
        .check(0, "");
    assert_eq!(
        fixture.simulator.person("1").unwrap().attributes["a"],
        json!("x")
    );
    assert!(fixture.simulator.person("2").is_none());
}

#[test]
fn people_are_deleted_and_suppressed_after_a_question() {
    let fixture = Fixture::new();
    let people = fixture.file("people.csv", "id\n1\n2\n3\n");
    fixture
        .run(&format!("people {} --id-column id", people.display()))
        .check(0, "");
    let one = fixture.file("one.csv", "id,reason\n1,x\n");
    let two = fixture.file("two.csv", "id\n2\n");
    let delete = format!("delete {} --id-column id", one.display());
    fixture
        .run_unconfirmed(&delete)
        .check(1, "1 person is deleted, which cannot be undone");
    assert!(fixture.simulator.person("1").is_some());
    fixture.run(&delete).check(0, "");
    assert!(fixture.simulator.person("1").is_none());
    let suppress = format!("suppress {} --id-column id --no-journal", two.display());
    fixture
        .run_unconfirmed(&suppress)
        .check(1, "1 person is deleted and blocked");
    fixture.run(&suppress).check(0, "");
    assert!(fixture.simulator.person("2").is_none());
    let again = format!("people {} --id-column id --no-journal", two.display());
    fixture.run(&again);
    assert!(fixture.simulator.person("2").is_none());
    let unsuppress = format!("unsuppress {} --id-column id --no-journal", two.display());
    fixture.run(&unsuppress).check(0, "");
    fixture.run(&again).check(0, "");
    assert!(fixture.simulator.person("2").is_some());
    assert!(fixture.simulator.person("3").is_some());
}

#[test]
fn devices_are_added_and_removed() {
    let fixture = Fixture::new();
    let people = fixture.file("people.csv", "id\n1\n");
    fixture
        .run(&format!("people {} --id-column id", people.display()))
        .check(0, "");
    let file = fixture.file(
        "a.csv",
        "id,token,os,app\n1,t1,ios,2.0\n1,t2,Android,\n1,t3,windows,\n",
    );
    let line = format!(
        "devices {} --id-column id --token-column token",
        file.display()
    );
    let run = fixture.run(&format!("{line} --platform-column os"));
    run.check(
        3,
        r#"a.csv:4: column "os": is not a platform; write ios or android"#,
    );
    let devices = || fixture.simulator.person("1").unwrap().devices;
    assert_eq!(devices().keys().collect::<Vec<_>>(), ["t1", "t2"]);
    fixture
        .run_unconfirmed(&format!("{line} --delete --no-journal"))
        .check(1, "3 devices are removed");
    fixture
        .run(&format!("{line} --delete --no-journal"))
        .check(0, "");
    assert!(devices().is_empty());
}

#[test]
fn people_are_merged() {
    let fixture = Fixture::new();
    let people = fixture.file("people.csv", "id,a\nkept,x\nold,y\n");
    fixture
        .run(&format!("people {} --id-column id", people.display()))
        .check(0, "");
    let file = fixture.file("a.csv", "to,from\nkept,old\nkept,kept\n");
    let line = format!(
        "merges {} --primary-id-column to --secondary-id-column from",
        file.display()
    );
    fixture
        .run_unconfirmed(&line)
        .check(1, "1 person is merged into another one and deleted");
    fixture.run(&line).check(3, "a.csv:3: ");
    assert!(fixture.simulator.person("kept").is_some());
    assert!(fixture.simulator.person("old").is_none());
}

#[test]
fn objects_and_relationships_are_made_and_removed() {
    let fixture = Fixture::new();
    let people = fixture.file("people.csv", "id\n1\n");
    fixture
        .run(&format!("people {} --id-column id", people.display()))
        .check(0, "");
    let companies = fixture.file("companies.csv", "company,name\nc1,Acme\nc2,Zeta\n");
    let objects = format!(
        "objects {} --object-id-column company --object-type 1",
        companies.display()
    );
    fixture.run(&objects).check(0, "");
    let object = |id| fixture.simulator.object("1", id);
    assert_eq!(object("c1").unwrap().attributes["name"], json!("Acme"));
    let staff = fixture.file("staff.csv", "id,company,kind,role\n1,c1,1,admin\n1,c2,x,\n");
    let relationships = format!(
        "relationships {} --id-column id --object-id-column company --object-type-column kind",
        staff.display()
    );
    fixture.run(&relationships).check(
        3,
        r#"staff.csv:3: column "kind": is not the number of an object type"#,
    );
    assert_eq!(object("c1").unwrap().people.len(), 1);
    fixture
        .run(&format!("{relationships} --delete --no-journal"))
        .check(3, "");
    assert!(object("c1").unwrap().people.is_empty());
    let delete = format!("{objects} --delete --no-journal");
    fixture
        .run_unconfirmed(&delete)
        .check(1, "2 objects are deleted");
    fixture.run(&delete).check(0, "");
    assert!(object("c1").is_none() && object("c2").is_none());
}

#[test]
fn wrong_combinations_of_flags_say_what_to_do() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,a,b\n1,x,y\n");
    for (flags, message) in [
        (
            "--type a=timestamp",
            "--type \"a\": a timestamp needs a format; write COLUMN=timestamp:FORMAT",
        ),
        (
            "--timestamp-format %Y",
            "--timestamp-format is given, but no column uses it",
        ),
        ("--type id=int", "column \"id\" is named by two flags"),
        (
            "--type c=int",
            "line 1: the header has no column \"c\"; name a column of the file",
        ),
        (
            "--map A=c",
            "the header has no column \"A\"; did you mean \"a\"?",
        ),
        (
            "--only a --type b=int",
            "column \"b\" is named by --type, but it is not sent",
        ),
        (
            "--map a=b",
            "\"b\": becomes the attribute \"b\", which another column",
        ),
        (
            "--set a=1",
            "\"a\": becomes the attribute \"a\", which another column",
        ),
        (
            "--type a=int --type a=bool",
            "--type \"a\" is given twice; leave out one of the two",
        ),
        ("--set c=", "--set \"c\": has no value"),
        (
            "--set c=maybe --type c=bool",
            "--set \"c\": the value is not a boolean",
        ),
    ] {
        fixture
            .run(&format!("people {} --id-column id {flags}", file.display()))
            .check(1, message);
    }
    assert_eq!(fixture.simulator.totals().requests, 0);
    let command = fixture.command("people - --format jsonl --id-column id --except x --dry-run");
    finish(command, b"{\"id\":1}\n").check(1, "no record has a column \"x\"");
}
