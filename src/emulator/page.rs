//! The page at `/`, which says what this is and how to use it.
//! It must not show keys that were set by the operator.
use super::{fault::Fault, models::Model};
use std::fmt::Write;

/// Plain text, so that `curl` shows it well.
pub(super) fn page(host: &str) -> String {
    let mut text = format!(
        "This is Easel's emulator: an Amazon Bedrock that paints offline. Its pictures are marked EMULATED and cost nothing.\n\
        \n\
        Point a client here:\n\
        \n\
        \x20 AWS_ENDPOINT_URL_BEDROCK_RUNTIME=http://{host}\n\
        \x20 AWS_BEARER_TOKEN_BEDROCK=emulated\n\
        \n\
        Signed requests are checked for real. The pair of keys is AWS's published example unless it was set:\n\
        AKIDEXAMPLE and wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY. Short-term API keys made from the pair work too;\n\
        the header x-emulated-region names the region they must be for.\n\
        \n\
        \x20 curl http://{host}/model/{}/invoke -H 'authorization: Bearer emulated' \\\n\
        \x20      -d '{{\"prompt\": \"a lighthouse at dawn\"}}'\n\
        \n\
        Models:\n\n",
        Model::StableImageCore.id(),
    );
    for model in Model::all() {
        let how = match model {
            Model::Service(_) => "us.",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {how}{}", model.id());
    }
    text.push_str(
        "\nTitan and Stable Diffusion XL have ended; they answer behind the ARNs of custom and provisioned models only,\n\
        the latter named by the id or titanv1..., titanv2..., sdxl....\n",
    );
    text.push_str("\nFaults, by --fault NAME or by emulate:NAME inside a prompt:\n\n");
    for (name, help) in Fault::names() {
        let _ = writeln!(text, "  {name:<20} {help}");
    }
    text
}
