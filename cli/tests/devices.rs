//! `forall devices`, in both of its forms.

mod common;

use common::{failure, folder, success};

#[test]
fn the_machine_in_words() {
    let text = success(&folder("devices"), ["devices"]);
    for word in ["cpu ", "levels ", "wide ", "threads ", "gpu ", "profile "] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn the_machine_as_json() {
    let dir = folder("devices_json");
    let json: serde_json::Value = serde_json::from_str(&success(&dir, ["devices", "--json"])).unwrap();
    let level = json["cpu"]["level"].as_str().unwrap();
    assert!(json["cpu"]["levels"].as_array().unwrap().iter().any(|name| name == level));
    assert!(json["cpu"]["lanes"].as_u64() >= json["wide"]["lanes"].as_u64());
    assert_eq!(json["profile"]["not_kept"], "FORALL_PROFILE=off");
    assert!(json["pool"]["threads"].as_u64().unwrap() >= 1);
    failure(&dir, 2, ["devices", "--jsom"]);
}
