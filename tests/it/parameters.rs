//! Every parameter, asked of every model: `docs/PARAMETERS.md` is what the models' own code answers.
//! Must not hold an outcome of its own.

mod page;
mod probes;
mod upstream;

use std::path::PathBuf;

use easel::blob::Blob;
use easel::catalog::Catalog;
use easel::image::{Format, Intent, Part, Size, Task, Unsupported};
use easel::picture::{Alpha, Picture, attachment};
use easel::provider::{Asked, Order, Request};
use easel::wishes::Wishes;
use serde_json::{Map, Value, json};

/// A way of asking a model.
struct Case {
    /// In the page's words.
    title: &'static str,
    model: &'static str,
    /// What says which way it is.
    members: Value,
    /// How many pictures come with it.
    pictures: usize,
    mask: bool,
}

impl Case {
    fn brings_pictures(&self) -> bool {
        self.pictures > 0 || self.members.as_object().unwrap().values().any(|value| value == "PICTURE")
    }
}

/// What becomes of a parameter.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The body says so.
    Honoured,
    /// The body says something else, or says it otherwise: the notes.
    Mapped(String),
    /// The body is the same, and a header names it.
    Ignored,
    /// The body is the same, which is what was asked for.
    Same,
    /// A 400, with these words.
    Refused(String),
    /// The same, for it is a native member that is not taken here.
    NotTaken,
}

fn picture(name: &str) -> Picture {
    let blob = Blob::from(bytes::Bytes::from_static(b"a picture"));
    let (format, size) = (Format::Png, Size::new(512, 512));
    Picture { name: name.into(), blob, format, size, alpha: Alpha::Absent, plain: true }
}

/// What a model is sent for a case with these members.
fn request(catalog: &Catalog, case: &Case, more: &Value) -> Result<Request, Unsupported> {
    let model = catalog.find(case.model).unwrap();
    let mut members: Map<String, Value> = case.members.as_object().unwrap().clone();
    members.extend(more.as_object().unwrap().clone());
    let mut attached = Vec::new();
    for value in members.values_mut().filter(|value| *value == "PICTURE") {
        *value = attachment(attached.len()).into();
        attached.push(picture("picture"));
    }
    let intent = if case.brings_pictures() { Intent::Edit } else { Intent::Generate };
    let task = Task {
        intent,
        prompt: "a cat".into(),
        images: (0..case.pictures).map(|at| picture(&format!("image[{at}]"))).collect(),
        mask: case.mask.then(|| picture("mask")),
        attached,
        wishes: Wishes::read(members).unwrap(),
        ..Task::default()
    };
    // A model that makes one picture a call is called once for each.
    let count = task.wishes.count.unwrap_or(1).min(model.limits.pictures_per_call);
    let order = Order {
        task: &task,
        part: Part { first: 0, count },
        defaults: &Wishes::default(),
        limits: &model.limits,
        drop_params: false,
        drawn_seed: 7,
        asked: Asked::Fallback,
    };
    model.dialect.request(order)
}

/// What the members of a case come to by themselves.
#[track_caller]
fn base(catalog: &Catalog, case: &Case) -> Request {
    request(catalog, case, &json!({})).unwrap_or_else(|refused| panic!("{}: {}", case.title, refused.message))
}

fn outcome(catalog: &Catalog, case: &Case, base: &Request, name: &str, value: &Value) -> Outcome {
    // What the case is made of is in its body.
    if case.members.get(name).is_some() {
        return Outcome::Honoured;
    }
    let made = match request(catalog, case, &json!({ name: value })) {
        Ok(made) => made,
        Err(refused) if refused.message.contains("is nothing this model takes here") => return Outcome::NotTaken,
        Err(refused) => return Outcome::Refused(refused.message),
    };
    let notes: Vec<_> = made.mapped.iter().filter(|note| !base.mapped.contains(note)).cloned().collect();
    let changed = made.body.abbreviated() != base.body.abbreviated() || made.transcode != base.transcode;
    match () {
        () if !notes.is_empty() => Outcome::Mapped(notes.join(", ")),
        // The pictures of several calls are counted by the calls.
        () if changed || name == "n" => Outcome::Honoured,
        () if made.ignored.iter().any(|ignored| ignored == name && !base.ignored.contains(ignored)) => Outcome::Ignored,
        () => Outcome::Same,
    }
}

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/PARAMETERS.md")
}

#[test]
fn the_page_says_what_the_code_does() {
    let written = std::fs::read_to_string(document()).unwrap_or_default();
    let same = written == page::render();
    assert!(same, "docs/PARAMETERS.md is out of date. Write it: cargo test --test it write_parameters -- --ignored");
}

#[test]
#[ignore = "writes docs/PARAMETERS.md"]
fn write_parameters() {
    std::fs::write(document(), page::render()).unwrap();
}

/// A parameter that nothing honours would be a slip of the tables, not of the models.
#[test]
fn every_probe_is_honoured_or_mapped_somewhere() {
    // OpenAI's hints that no model of Bedrock has, and what is honoured by the reply rather than by the body.
    let elsewhere = ["moderation", "background", "output_compression"];
    let (catalog, families, mut idle) = (Catalog::builtin(), probes::families(), probes::probes());
    for case in families.iter().flat_map(|family| &family.cases) {
        let base = base(&catalog, case);
        idle.retain(|(name, value)| {
            !matches!(outcome(&catalog, case, &base, name, value), Outcome::Honoured | Outcome::Mapped(_))
        });
    }
    idle.retain(|(name, value)| !elsewhere.contains(name) && value != "vivid");
    assert!(idle.is_empty(), "{idle:?}");
}

/// Native members shape a picture, so a model that does not take one refuses it.
#[test]
fn members_that_are_not_taken_are_refused() {
    let (catalog, families) = (Catalog::builtin(), probes::families());
    for (title, name, value) in [
        ("Stable Image Core", "colors", json!(["#112233"])),
        ("Stable Image Core", "grow_mask", json!(3)),
        ("from text", "style_preset", json!("anime")),
        ("from text", "similarityStrength", json!(0.5)),
    ] {
        let case = families.iter().flat_map(|family| &family.cases).find(|case| case.title == title).unwrap();
        assert_eq!(outcome(&catalog, case, &base(&catalog, case), name, &value), Outcome::NotTaken, "{title}: {name}");
    }
}
