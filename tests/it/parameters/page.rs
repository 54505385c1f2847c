//! The outcomes as a page. Must not say of a model what no probe or limit says.

use std::fmt::Write;

use easel::catalog::{Catalog, Input};
use serde_json::Value;

use super::probes::{Family, XL, XL_TITLE, families, probes};
use super::{Case, Outcome, base, outcome};

const OPENING: &str = "\
# Parameters

<!-- Written by `cargo test --test it write_parameters -- --ignored`, which asks the code of each model. -->

What becomes of a parameter depends on the model that paints. It is **honoured**; or **mapped** to the nearest thing that
the model can do, which `x-easel-mapped` says; or **ignored**, which `x-easel-ignored` says; or **refused** with a 400
that names it, if no model of the alias and its fallbacks can honour it. Hints are never refused: `quality`, `style`,
`moderation`, `input_fidelity`, `background` other than transparent. With `drop_params: true` a wish is ignored where it
would be refused. `user`, `safety_identifier`, `response_format`, `stream`, `timeout` and the like shape no picture and
are not in these tables.

Native members may stand at the top of a request, or in the objects that AWS has for them (`textToImageParams`,
`inPaintingParams`, `imageGenerationConfig`, ...), as JSON or as fields of a form, where numbers, `true` and objects are
texts. Those of another family are mapped where they have a counterpart. What stands in some rows of these tables and not in
another is refused there. Members that nobody knows are ignored; so are Stable Diffusion XL's own elsewhere.

An `output_format` or `output_compression` that a model does not have is made of what it paints, after it has come.

`POST /v1/images/validate` takes any request and answers which model would paint, with which body, at what price.

## What an edit asks for

The first that applies:

1. `task`: `inpaint`, `inpaint-by-prompt`, `erase`, `outpaint`, `remove-background`, `search-and-replace`, `recolor`,
   `upscale`, `conservative-upscale`, `creative-upscale`, `sketch`, `structure`, `style-guide`, `style-transfer`,
   `image-to-image`, `variation`, `guided`, `color-guided`, `try-on`; or `taskType` with Nova Canvas's words.
2. A variation, at `/v1/images/variations`.
3. Members that mean one thing: `garmentClass`, `maskType` or `sourceImage` a try-on; `style_image` a style transfer;
   `search_prompt`, `select_prompt` and `mask_prompt` what they say; `left`, `right`, `up` and `down` to paint around the
   picture; `background: transparent` to take its background away.
4. A mask: to inpaint, or without a prompt to erase. Transparent pixels are changed; in a mask without transparency the
   white ones. A mask of another size but the same shape is scaled.
5. A picture that is transparent somewhere is its own mask.
6. A `size` of another shape, which the picture fits into: to paint around it, with models that cannot paint in any size.
   A `size` of the picture's own shape does not ask for that.
7. Otherwise it is painted over.

If no model can do what 5 and 6 guess, the picture is painted over too. An alias with one service does that service, unless
`task` says otherwise.

## What is taken of pictures

PNG, JPEG and WebP come in, up to 16 in a request. A picture that a model does not take as it is gets redrawn: turned
upright, to 8 bits of RGB, on white where transparency is not taken, smaller or larger where the model has bounds. Sizes that
change are said in `x-easel-mapped`. What would make a body of more than 25 MB becomes a JPEG. A shape out of bounds is
refused.

";

/// The page.
pub(super) fn render() -> String {
    let (mut page, catalog) = (OPENING.to_owned(), Catalog::builtin());
    inputs(&mut page, &catalog);
    for family in families() {
        section(&mut page, &catalog, &family);
    }
    page
}

fn inputs(page: &mut String, catalog: &Catalog) {
    *page += "| model | shortest side | longest side | pixels | longest by shortest | transparency | pictures |\n\
              |---|---|---|---|---|---|---|\n";
    // Those that are alike share a row.
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    for model in catalog.models() {
        let Some(input) = &model.limits.input else { continue };
        let cells = cells(input);
        match rows.iter_mut().find(|(same, _)| *same == cells) {
            Some((_, models)) => models.push(&model.id),
            None => rows.push((cells, vec![&model.id])),
        }
    }
    for (cells, models) in rows {
        let models: Vec<_> = models.iter().map(|id| format!("`{id}`")).collect();
        writeln!(page, "| {} | {cells} |", models.join(", ")).unwrap();
    }
    page.push('\n');
}

fn cells(input: &Input) -> String {
    let any = |bound: Option<String>| bound.unwrap_or_else(|| "any".into());
    let pixels = match input.min_pixels {
        0 => format!("up to {}", input.max_pixels),
        least => format!("{least} to {}", input.max_pixels),
    };
    let cells = [
        input.min_side.to_string(),
        any(input.max_side.map(|side| side.to_string())),
        pixels,
        any(input.max_ratio.map(|ratio| ratio.to_string())),
        if input.alpha { "stays" } else { "on white" }.to_owned(),
        input.most.to_string(),
    ];
    cells.join(" | ")
}

fn section(page: &mut String, catalog: &Catalog, family: &Family) {
    writeln!(page, "## {}\n\n{}\n", family.title, family.says).unwrap();
    *page += "| asked for | honoured | mapped | ignored | refused |\n|---|---|---|---|---|\n";
    for case in &family.cases {
        writeln!(page, "| {} | {} |", case.title, row(catalog, family, case).join(" | ")).unwrap();
    }
    page.push('\n');
}

fn row(catalog: &Catalog, family: &Family, case: &Case) -> [String; 4] {
    let base = base(catalog, case);
    let mut columns: [Vec<String>; 4] = Default::default();
    for (name, value) in probes() {
        if XL.contains(&name) && family.title != XL_TITLE {
            continue;
        }
        let shown = shown(name, &value);
        match outcome(catalog, case, &base, name, &value) {
            Outcome::Honoured => columns[0].push(shown),
            Outcome::Mapped(note) => columns[1].push(format!("`{note}`")),
            Outcome::Ignored => columns[2].push(shown),
            Outcome::Refused(_) => columns[3].push(shown),
            Outcome::Same | Outcome::NotTaken => {}
        }
    }
    columns.map(|words| words.join(", "))
}

/// A parameter with its value, where that is a word and others would fare otherwise.
fn shown(name: &str, value: &Value) -> String {
    match (name, value.as_str()) {
        ("output_format" | "background" | "style", Some(word)) => format!("`{name}: {word}`"),
        _ => format!("`{name}`"),
    }
}
