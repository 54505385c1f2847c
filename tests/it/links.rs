//! `response_format: url` and what is behind the links: type, length, ranges, expiry, who may make one.
//! Must not look into the folder for what can be fetched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use easel::clock::Clock;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::macros::datetime;

use crate::support::{CORE, NOVA, ReadJson, TestProxy, client, header, sizes, wish};

/// Two names for one model.
const NAMES: &str = "
model_list:
  - model_name: dall-e-3
    litellm_params: &nova {model: bedrock/amazon.nova-canvas-v1:0, aws_region_name: us-east-1}
  - model_name: nova-canvas
    litellm_params: *nova
";

/// A request for links, and the reply.
async fn ask(proxy: &TestProxy, members: Value) -> Value {
    let mut body = wish(members);
    body["response_format"] = "url".into();
    let response = proxy.generate(body).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

fn urls(reply: &Value) -> Vec<&str> {
    reply["data"].as_array().unwrap().iter().map(|datum| datum["url"].as_str().unwrap()).collect()
}

async fn fetch(url: &str) -> Response {
    client().get(url).send().await.unwrap()
}

/// What an error's envelope says.
async fn refused(url: &str) -> (u16, String) {
    let response = fetch(url).await;
    let status = response.status().as_u16();
    let reply: Value = response.json().await.unwrap();
    (status, reply["error"]["code"].as_str().unwrap().to_owned())
}

/// The file names in the folder of pictures.
fn kept(data: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(data.path().join("links")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_link_leads_to_the_picture() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(NOVA).data_dir(data.path()).start().await;
    let base64: Value = proxy.generate(wish(json!({"size": "512x320", "seed": 3, "n": 2}))).await.json().await.unwrap();
    let mut reply = ask(&proxy, json!({"size": "512x320", "seed": 3, "n": 2})).await;
    for (url, picture) in urls(&reply).into_iter().zip(crate::support::pictures(&base64)) {
        assert!(url.starts_with(&format!("{}/files/", proxy.url)) && url.ends_with(".png"), "{url}");
        let name = url.rsplit_once('/').unwrap().1;
        assert_eq!(name.len(), 32 + 4);
        let response = fetch(url).await;
        assert_eq!(response.status(), 200);
        for (header_name, value) in [
            ("content-type", "image/png"),
            ("content-length", &*picture.len().to_string()),
            ("accept-ranges", "bytes"),
            ("cache-control", "private, max-age=3600, immutable"),
            ("content-disposition", &*format!("inline; filename=\"{name}\"")),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(response.headers(), header_name), value, "{header_name}");
        }
        assert_eq!(response.bytes().await.unwrap(), picture);
    }
    for datum in reply["data"].as_array_mut().unwrap() {
        datum["url"].take();
    }
    assert!(reply["created"].take().is_i64());
    reply["usage"].take();
    let expected = json!({"created": null, "data": [{"url": null}, {"url": null}], "output_format": "png",
                          "size": "512x320", "usage": null});
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn parts_heads_and_conditions_are_answered() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(CORE).script(["tiny"]).data_dir(data.path()).start().await;
    let reply = ask(&proxy, json!({})).await;
    let url = urls(&reply)[0];
    let whole = fetch(url).await.bytes().await.unwrap();
    let part = client().get(url).header("range", "bytes=8-15").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(header(part.headers(), "content-range"), format!("bytes 8-15/{}", whole.len()));
    assert_eq!(part.bytes().await.unwrap(), whole[8..16]);
    let head = client().head(url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(head.headers(), "content-type")), (200, "image/png"));
    assert_eq!(header(head.headers(), "content-length"), whole.len().to_string());
    let modified = header(head.headers(), "last-modified").to_owned();
    let unchanged = client().get(url).header("if-modified-since", modified).send().await.unwrap();
    assert_eq!(unchanged.status(), 304);
    let post = client().request(Method::POST, url).send().await.unwrap();
    assert_eq!(post.status(), 405);
}

#[tokio::test]
async fn the_picture_itself_says_how_its_name_ends() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(CORE).data_dir(data.path()).start().await;
    let reply = ask(&proxy, json!({"output_format": "jpeg"})).await;
    let url = urls(&reply)[0];
    assert!(url.ends_with(".jpg"), "{url}");
    assert_eq!(header(fetch(url).await.headers(), "content-type"), "image/jpeg");
    assert_eq!(reply["output_format"], "jpeg");
}

#[tokio::test]
async fn nobody_can_make_or_change_a_link() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(CORE).script(["tiny"; 2]).data_dir(data.path()).start().await;
    let reply = ask(&proxy, json!({"n": 2})).await;
    let links: Vec<Vec<&str>> = urls(&reply).iter().map(|url| url.rsplitn(3, '/').collect()).collect();
    let [(name, pass), (other, _)] = [0, 1].map(|i| (links[i][0], links[i][1]));
    let (expiry, mac) = pass.split_once('.').unwrap();
    let expiry: i64 = expiry.parse().unwrap();
    assert_eq!(expiry, datetime!(2026-11-22 13:00 UTC).unix_timestamp());
    let jpeg = name.replace(".png", ".jpg");
    for wrong in [
        format!("{pass}/{other}"),
        format!("{}.{mac}/{name}", expiry + 1),
        format!("{expiry}.{}/{name}", mac.to_ascii_uppercase()),
        format!("{expiry}./{name}"),
        format!("{expiry}.{}/{name}", &mac[..20]),
        format!("{pass}/{jpeg}"),
        format!("{pass}/{}", name.to_ascii_uppercase()),
        format!("{pass}/..%2Flinks.key"),
        "x/y.png".to_owned(),
    ] {
        let (status, code) = refused(&format!("{}/files/{wrong}", proxy.url)).await;
        assert_eq!((status, &*code), (404, "file_not_found"), "{wrong}");
    }
}

#[tokio::test]
async fn links_outlive_a_restart_but_not_their_hour() {
    let data = TempDir::new().unwrap();
    let first = TestProxy::with(CORE).script(["tiny"]).data_dir(data.path()).start().await;
    let reply = ask(&first, json!({})).await;
    let path = urls(&reply)[0].strip_prefix(&first.url).unwrap().to_owned();
    drop(first);
    let almost = Clock::new(|| SystemTime::from(datetime!(2026-11-22 12:59:58 UTC)));
    let second = TestProxy::with(CORE).data_dir(data.path()).clock(almost).start().await;
    let response = fetch(&format!("{}{path}", second.url)).await;
    assert_eq!(header(response.headers(), "cache-control"), "private, max-age=2, immutable");
    assert_eq!(response.status(), 200);
    let later = Clock::new(|| SystemTime::from(datetime!(2026-11-22 13:00 UTC)));
    let third = TestProxy::with(CORE).data_dir(data.path()).clock(later).start().await;
    assert_eq!(refused(&format!("{}{path}", third.url)).await, (410, "link_expired".to_owned()));
}

#[tokio::test]
async fn a_picture_that_made_room_is_gone() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(CORE).script(["tiny"]).data_dir(data.path()).start().await;
    let reply = ask(&proxy, json!({})).await;
    fs::remove_file(data.path().join("links").join(&kept(&data)[0])).unwrap();
    assert_eq!(refused(urls(&reply)[0]).await, (410, "link_expired".to_owned()));
}

/// A reply of links waits until it is whole, so a break is an error, which SDKs do not pay for again.
#[tokio::test]
async fn what_breaks_off_leaves_nothing() {
    let data = TempDir::new().unwrap();
    for fault in ["reset-mid-body", "truncated-json"] {
        let proxy = TestProxy::with(NOVA).script([fault]).data_dir(data.path()).start().await;
        let response = proxy.generate(wish(json!({"response_format": "url"}))).await;
        assert_eq!(response.status(), 502, "{fault}");
        assert_eq!(header(response.headers(), "x-should-retry"), "false");
        assert_eq!(response.json().await.unwrap()["error"]["code"], "upstream_error");
        assert_eq!(proxy.calls().len(), 1);
        assert_eq!(kept(&data), [""; 0]);
    }
}

#[tokio::test]
async fn what_is_whole_is_linked_to_though_another_picture_breaks_off() {
    let data = TempDir::new().unwrap();
    for order in [["reset-mid-body", ""], ["", "reset-mid-body"]] {
        let proxy = TestProxy::with(CORE).script(order).data_dir(data.path()).start().await;
        let reply = ask(&proxy, json!({"n": 2})).await;
        assert_eq!(fetch(urls(&reply)[0]).await.status(), 200);
        assert_eq!(urls(&reply).len(), 1, "{order:?}");
        assert_eq!(reply["size"], "1024x1024");
        assert_eq!(reply["easel"]["warnings"], json!(["a picture did not come: Bedrock failed"]));
        let metrics = proxy.get("/metrics").await.text().await.unwrap();
        assert!(metrics.contains("easel_replies_incomplete_total 1"), "{metrics}");
        let handed_over = metrics.lines().find(|line| line.starts_with("easel_pictures_total")).unwrap();
        assert!(handed_over.ends_with(" 1"), "{handed_over}");
    }
}

#[tokio::test]
async fn a_picture_that_cannot_be_kept_is_an_error_that_says_so() {
    let data = TempDir::new().unwrap();
    let proxy = TestProxy::with(CORE).data_dir(data.path()).start().await;
    fs::remove_dir(data.path().join("links")).unwrap();
    fs::write(data.path().join("links"), "in the way").unwrap();
    let response = proxy.generate(wish(json!({"response_format": "url"}))).await;
    assert_eq!(response.status(), 500);
    assert_eq!(header(response.headers(), "x-should-retry"), "false");
    let message = &response.json().await.unwrap()["error"]["message"];
    insta::assert_snapshot!(message.as_str().unwrap(), @"the picture was painted, but could not be kept for its link. The log says why: the folder of links may be full, or their bucket out of reach. Ask for 'b64_json', which needs neither");
    assert_eq!(proxy.calls().len(), 1);
}

#[tokio::test]
async fn a_folder_that_was_cleared_away_is_made_again() {
    let home = TempDir::new().unwrap();
    let data = home.path().join("data");
    let proxy = TestProxy::with(CORE).script(["tiny"]).data_dir(&data).start().await;
    fs::remove_dir_all(&data).unwrap();
    let reply = ask(&proxy, json!({})).await;
    let response = proxy.client.get(reply["data"][0]["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(fs::metadata(data.join("links")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn the_folder_is_its_owners() {
    let home = TempDir::new().unwrap();
    let data = home.path().join("a/b");
    let proxy = TestProxy::with(CORE).script(["tiny"]).data_dir(&data).start().await;
    ask(&proxy, json!({})).await;
    let mode = |path: &str| fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("."), mode("links"), mode("links.key")], [0o700, 0o700, 0o600]);
    let picture = fs::read_dir(data.join("links")).unwrap().next().unwrap().unwrap();
    assert_eq!(picture.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn dall_e_names_answer_links_where_nobody_says() {
    let data = TempDir::new().unwrap();
    let unsaid = |model: &str| json!({"model": model, "prompt": "a cat"});
    let kinds = async |proxy: &TestProxy| {
        let mut kinds = Vec::new();
        let explicit = json!({"model": "dall-e-3", "prompt": "a cat", "response_format": "b64_json"});
        for body in [unsaid("dall-e-3"), unsaid("nova-canvas"), json!({"prompt": "a cat"}), explicit] {
            let reply: Value = proxy.generate(body).await.json().await.unwrap();
            let members: Vec<String> = reply["data"][0].as_object().unwrap().keys().cloned().collect();
            kinds.push(members.join(","));
        }
        kinds
    };
    let proxy = TestProxy::with(NAMES).script(["tiny"; 4]).data_dir(data.path()).start().await;
    // The third names no model, so the first alias paints, which is a dall-e.
    assert_eq!(kinds(&proxy).await, ["url", "b64_json", "url", "b64_json"]);
    let off = format!("{NAMES}\neasel_settings: {{links: {{dall_e_default: b64_json}}}}\n");
    let proxy = TestProxy::with(&off).script(["tiny"; 4]).data_dir(data.path()).start().await;
    assert_eq!(kinds(&proxy).await, ["b64_json"; 4]);
    let proxy = TestProxy::with(NAMES).script(["tiny"; 4]).start().await;
    assert_eq!(kinds(&proxy).await, ["b64_json"; 4], "there is no folder");
}

#[tokio::test]
async fn without_a_folder_links_are_refused_by_name() {
    let proxy = TestProxy::with(NOVA).start().await;
    let response = proxy.generate(wish(json!({"response_format": "url"}))).await;
    assert_eq!(response.status(), 400);
    let reply: Value = response.json().await.unwrap();
    let message = "'response_format' is 'url', and Easel has no folder to keep pictures in. Use 'b64_json', or set \
                   easel_settings.data_dir";
    assert_eq!((&reply["error"]["message"], &reply["error"]["param"]), (&message.into(), &"response_format".into()));
    let dry = proxy.post("/v1/images/validate", r#"{"prompt": "a cat", "response_format": "url"}"#).await;
    assert_eq!(dry.json().await.unwrap()["error"]["message"], message);
    assert!(proxy.calls().is_empty());
    assert_eq!(refused(&format!("{}/files/1.x/y.png", proxy.url)).await.0, 404);
}

/// The beginning of the link that a request with these headers gets.
async fn begins(proxy: &TestProxy, path: &str, headers: &[(&str, &str)]) -> String {
    let request = client().post(format!("{}{path}", proxy.url)).body(r#"{"prompt":"a cat","response_format":"url"}"#);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let reply: Value = request.send().await.unwrap().json().await.unwrap();
    urls(&reply)[0].split("/files/").next().unwrap().to_owned()
}

#[tokio::test]
async fn links_begin_as_the_request_did() {
    const PATH: &str = "/v1/images/generations";
    const FORWARDED: [(&str, &str); 3] = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "pictures.example, inner"),
        ("x-forwarded-prefix", "/easel/"),
    ];
    let data = TempDir::new().unwrap();
    let start = |settings: &str| {
        let yaml = format!("{CORE}\ngeneral_settings: {{master_key: sk-links}}\neasel_settings: {{{settings}}}\n");
        TestProxy::with(&yaml).script(["tiny"; 5]).data_dir(data.path()).root_path("/under").start()
    };
    let key = [("authorization", "Bearer sk-links")];
    let with = |headers: &[(&'static str, &'static str)]| [&key[..], headers].concat();
    let proxy = start("").await;
    assert_eq!(begins(&proxy, PATH, &key).await, proxy.url);
    assert_eq!(begins(&proxy, PATH, &with(&[("host", "easel.example")])).await, "http://easel.example");
    assert_eq!(begins(&proxy, "/under/v1/images/generations", &key).await, format!("{}/under", proxy.url));
    assert_eq!(begins(&proxy, PATH, &with(&FORWARDED)).await, proxy.url, "nobody trusts this proxy");
    let proxy = start("trusted_proxies: [10.0.0.0/8, 127.0.0.1]").await;
    assert_eq!(begins(&proxy, PATH, &with(&FORWARDED)).await, "https://pictures.example/easel");
    let proxy = start("links: {base_url: 'https://cdn.example/x/'}").await;
    assert_eq!(begins(&proxy, PATH, &with(&FORWARDED)).await, "https://cdn.example/x");
}

#[tokio::test]
async fn links_need_no_key_but_a_weak_door_stays_shut() {
    let data = TempDir::new().unwrap();
    let strong = format!("{CORE}\ngeneral_settings: {{master_key: sk-links}}\n");
    let proxy = TestProxy::with(&strong).script(["tiny"]).data_dir(data.path()).start().await;
    let request = client().post(format!("{}/v1/images/generations", proxy.url)).bearer_auth("sk-links");
    let response = request.body(r#"{"prompt":"a cat","response_format":"url"}"#).send().await.unwrap();
    let reply: Value = response.json().await.unwrap();
    let url = urls(&reply)[0];
    assert_eq!(fetch(url).await.status(), 200);
    let page = client().get(url).header("origin", "https://elsewhere.example").send().await.unwrap();
    assert_eq!((page.status().as_u16(), header(page.headers(), "access-control-allow-origin")), (200, "*"));
    let path = url.strip_prefix(&proxy.url).unwrap();
    let weak = TestProxy::with(CORE).data_dir(data.path()).start().await;
    let url = format!("{}{path}", weak.url);
    assert_eq!(fetch(&url).await.status(), 200);
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let response = client().get(&url).header(name, value).send().await.unwrap();
        assert_eq!(response.status(), 403, "{name}");
    }
}

#[tokio::test]
async fn replicas_honour_each_others_links() {
    let (data, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let yaml = format!("{CORE}\neasel_settings: {{links: {{secret: os.environ/LINKS}}}}\n");
    let start = |folder: &TempDir, secret: &str| {
        TestProxy::with(&yaml).script(["tiny"]).data_dir(folder.path()).env("LINKS", &secret.repeat(32)).start()
    };
    let one = start(&data, "a").await;
    let reply = ask(&one, json!({})).await;
    let path = urls(&reply)[0].strip_prefix(&one.url).unwrap();
    // The last is signed as it should be, but kept elsewhere.
    for (folder, secret, status) in [(&data, "a", 200), (&data, "b", 404), (&other, "a", 410)] {
        let replica = start(folder, secret).await;
        assert_eq!(fetch(&format!("{}{path}", replica.url)).await.status(), status);
    }
    assert!(!data.path().join("links.key").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_turns_links_off() {
    let data = TempDir::new().unwrap();
    fs::write(data.path().join("file"), "").unwrap();
    let proxy = TestProxy::with(NAMES).script(["tiny"]).data_dir(&data.path().join("file/below")).start().await;
    let reply: Value = proxy.generate(json!({"model": "dall-e-3", "prompt": "a cat"})).await.json().await.unwrap();
    assert_eq!(sizes(&reply), [(64, 64)]);
}

#[tokio::test]
async fn every_mistake_about_links_is_named() {
    let yaml = format!(
        "{CORE}\neasel_settings:\n  trusted_proxies: [ten]\n  links: {{expires_in: 0, base_url: cdn.example, \
         dall_e_default: png, max_size_mb: 0, secret: short, expire: 1, s3: {{region: x, aws_access_key_id: AKIDEXAMPLE, \
         endpoint: 'ftp://x', key: 1}}}}\n"
    );
    let env = easel::config::Environment::default();
    let mistakes = easel::config::Config::parse(&yaml, &env, &easel::catalog::Catalog::builtin()).unwrap_err();
    insta::assert_snapshot!("mistakes", mistakes.to_string());
}
