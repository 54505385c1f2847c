//! `docs/MODELS.md`: the catalogue as a page.
//! Must not say of a model what the catalogue does not.

use std::fmt::Write as _;
use std::path::PathBuf;

use easel::catalog::{Catalog, Dialect, Model, Price, Service, SizeRule};

const OPENING: &str = "\
# Models

<!-- Written by `cargo test --test it write_models -- --ignored`, from config/models.yaml. -->

What Easel knows of Bedrock's image models. In a config each is written `bedrock/` and the id as it stands here, with an
`aws_region_name` from its row. A dated end is AWS's; a model that has ended answers only as a custom or provisioned model, by
its ARN, and an alias on it lives on its fallbacks. Prices are list prices in US dollars for one picture, which
`model_info.output_cost_per_image` replaces; `x-litellm-response-cost` is reckoned with them. AWS's own word is
[its price list](https://aws.amazon.com/bedrock/pricing/) and
[its page of ends](https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html).

[What each model takes](PARAMETERS.md) · models of your own: [`easel_settings.models`](CONFIGURATION.md#the-other-sections)

";

fn document() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/MODELS.md")
}

/// Gone by a date, or since a day that is not known.
fn ended(model: &Model) -> bool {
    model.life.retired || model.life.end.is_some()
}

fn render() -> String {
    let (mut page, catalog) = (OPENING.to_owned(), Catalog::builtin());
    let (mut painters, mut services, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for model in catalog.models() {
        match model.dialect {
            _ if ended(model) => gone.push(&**model),
            Dialect::StabilityServices(service) => services.push((service, &**model)),
            Dialect::NovaCanvas | Dialect::Titan | Dialect::Stability | Dialect::Sdxl => painters.push(&**model),
        }
    }
    page += "## From text\n\n";
    page +=
        "| model | regions | sizes | in a call | encodings | longest prompt | price |\n|---|---|---|---|---|---|---|\n";
    for model in painters {
        writeln!(page, "{}", row(model, &[])).unwrap();
    }
    page += "\n## From a picture\n\n\
             Stability's services, which paint nothing from text alone. They are called through the profile of the United\n\
             States, which may send a call to any of these regions.\n\n\
             | model | does | regions | price |\n|---|---|---|---|\n";
    for (service, model) in services {
        let Model { regions, prices, .. } = model;
        writeln!(page, "| `{}` | {} | {} | {} |", name(model), does(service), regions.join(", "), cost(prices))
            .unwrap();
    }
    page += "\n## Ended, or with a day on which they end\n\n";
    page += "| model | legacy since | end | regions | sizes | in a call | encodings | longest prompt | price |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for model in gone {
        let date = |day: Option<time::Date>| day.map(|day| day.to_string()).unwrap_or_default();
        let end = model.life.end.map_or("gone".to_owned(), |day| day.to_string());
        writeln!(page, "{}", row(model, &[date(model.life.legacy), end])).unwrap();
    }
    page
}

/// The cells of a model that paints from text; `life` stands behind its name.
fn row(model: &Model, life: &[String]) -> String {
    let limits = &model.limits;
    let mut cells = vec![format!("`{}`", name(model))];
    cells.extend_from_slice(life);
    cells.extend([
        model.regions.join(", "),
        sizes(&limits.size),
        limits.pictures_per_call.to_string(),
        limits.formats.iter().map(|format| format.name()).collect::<Vec<_>>().join(", "),
        limits.prompt_chars.to_string(),
        cost(&model.prices),
    ]);
    format!("| {} |", cells.join(" | "))
}

/// The id that can be called.
fn name(model: &Model) -> String {
    match model.profiles.first().filter(|_| model.profile_only) {
        Some(profile) => format!("{profile}.{}", model.id),
        None => model.id.clone(),
    }
}

fn sizes(rule: &SizeRule) -> String {
    match rule {
        SizeRule::Pixels { min_side, max_side, multiple, max_pixels, max_ratio } => format!(
            "sides of {min_side} to {max_side} in steps of {multiple}, up to {max_pixels} pixels and {max_ratio}:1"
        ),
        SizeRule::Sizes(sizes) => sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        SizeRule::AspectRatios(ratios) => ratios.join(", "),
        SizeRule::AsGiven => "the picture's".into(),
    }
}

fn cost(prices: &[Price]) -> String {
    let each = prices.iter().map(|price| {
        let mut text = format!(
            "${:.*}",
            if ((price.usd * 100.0).round() - price.usd * 100.0).abs() < 1e-9 { 2 } else { 3 },
            price.usd
        );
        if let Some(quality) = price.quality {
            write!(text, " {}", quality.name()).unwrap();
        }
        if let Some(pixels) = price.max_pixels {
            write!(text, " up to {pixels} pixels").unwrap();
        }
        text
    });
    each.collect::<Vec<_>>().join(", ")
}

fn does(service: Service) -> &'static str {
    match service {
        Service::Inpaint => "paints where a mask says",
        Service::Outpaint => "paints around a picture",
        Service::EraseObject => "takes away what a mask marks",
        Service::SearchReplace => "puts something in the place of what is described",
        Service::SearchRecolor => "gives what is described other colours",
        Service::RemoveBackground => "cuts out what stands in front",
        Service::ControlSketch => "makes a painting of a sketch",
        Service::ControlStructure => "paints anew what has the structure of a picture",
        Service::StyleGuide => "paints in the style of a picture",
        Service::StyleTransfer => "gives one picture the style of another",
        Service::FastUpscale => "enlarges four times, at once",
        Service::ConservativeUpscale => "enlarges and adds little",
        Service::CreativeUpscale => "enlarges and invents what is missing",
    }
}

#[test]
fn the_page_says_what_the_catalogue_says() {
    let written = std::fs::read_to_string(document()).unwrap_or_default();
    let same = written == render();
    assert!(same, "docs/MODELS.md is out of date. Write it: cargo test --test it write_models -- --ignored");
}

#[test]
#[ignore = "writes docs/MODELS.md"]
fn write_models() {
    std::fs::write(document(), render()).unwrap();
}
