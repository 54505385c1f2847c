//! A chat whose model paints: which words and pictures of it are the wish, or which chore of a chat UI it is.
//!
//! Must not paint for a chore: titles, tags and the like are asked of the same model behind the user's back.

use serde_json::{Map, Value, json};

use super::request::{Invalid, missing, take_flag, take_text};

/// What a chat asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// The alias, if one is named.
    pub model: Option<String>,
    /// Whether the answer comes as events.
    pub stream: bool,
    /// Whether the last event but one tells the usage (`stream_options.include_usage`).
    pub include_usage: bool,
    /// What is wanted.
    pub wish: ChatWish,
}

/// What a chat wants.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatWish {
    /// A picture: the members of a request for one. Pictures among them are texts as they were written.
    Picture(Map<String, Value>),
    /// The same, but its pictures are only linked to by the text of an answer before: nobody has sent them, so they are
    /// for a model that can change them, as long as they are kept.
    GoOn(Map<String, Value>),
    /// A chore, which is answered with this text.
    Text(String),
}

/// Members that mean the same here as in a request for pictures. Everything else shapes texts, and is left aside.
const PICTURE_MEMBERS: [&str; 21] = [
    "n",
    "size",
    "quality",
    "style",
    "background",
    "moderation",
    "output_format",
    "output_compression",
    "input_fidelity",
    "aspect_ratio",
    "negative_prompt",
    "negativeText",
    "seed",
    "mask",
    "task",
    "user",
    "drop_params",
    "timeout",
    "num_retries",
    "fallbacks",
    "disable_fallbacks",
];

impl Chat {
    /// Reads the members of `/chat/completions`.
    pub fn read(mut members: Map<String, Value>) -> Result<Self, Invalid> {
        members.retain(|_, value| !value.is_null());
        let model = take_text(&mut members, "model")?.filter(|model| !model.is_empty());
        let stream = take_flag(&mut members, "stream")?;
        let include_usage = members.get("stream_options").is_some_and(|options| options["include_usage"] == true);
        let messages = match members.shift_remove("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages,
            None | Some(Value::Array(_)) => return Err(missing("messages", "Say in a user message what to paint")),
            Some(other) => return Err(Invalid::wrong_type("messages", "an array", &other)),
        };
        let wish = match chore(&messages, &members) {
            Some(text) => ChatWish::Text(text),
            None => wish(messages, members, model.as_deref())?,
        };
        Ok(Self { model, stream, include_usage, wish })
    }
}

/// The request for a picture in a chat: the words of the last user message, and the pictures of it, or else of the
/// turn before.
fn wish(messages: Vec<Value>, mut members: Map<String, Value>, model: Option<&str>) -> Result<ChatWish, Invalid> {
    // OpenRouter's place for it.
    let ratio = members.get("image_config").and_then(|config| config.get("aspect_ratio")).cloned();
    members.retain(|name, _| PICTURE_MEMBERS.contains(&&**name));
    if let Some(ratio) = ratio {
        members.entry("aspect_ratio").or_insert(ratio);
    }
    let turn = |message: &Value| message["role"] == "user" || message["role"] == "assistant";
    let mut turns: Vec<_> = messages.into_iter().filter(turn).collect();
    let last = turns.iter().rposition(|message| message["role"] == "user");
    let Some(last) = last else { return Err(missing("messages", "None of them is the user's: say what to paint")) };
    turns.truncate(last + 1);
    let prompt = turns.last().map(words).unwrap_or_default();
    if prompt.is_empty() {
        return Err(missing("messages", "The last user message has no text: say what to paint"));
    }
    members.insert("prompt".into(), prompt.into());
    if let Some(model) = model {
        members.insert("model".into(), model.into());
    }
    // What was painted last, or what that was made from.
    for turn in turns.iter().rev().take(3) {
        let (sent, told) = (pictures(turn), links(turn));
        if !sent.is_empty() || !told.is_empty() {
            let goes_on = sent.is_empty() && turn["role"] == "assistant";
            members.insert("image".into(), if sent.is_empty() { told } else { sent }.into());
            return Ok(if goes_on { ChatWish::GoOn(members) } else { ChatWish::Picture(members) });
        }
    }
    Ok(ChatWish::Picture(members))
}

/// A message's text, without the pictures in it.
fn words(message: &Value) -> String {
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    };
    let mut plain = text.clone();
    for (whole, _) in linked(&text) {
        plain = plain.replacen(whole, "", 1);
    }
    without_list_of_files(&plain).trim().to_owned()
}

/// A text without the list of attached files that Open WebUI puts before it, for models that call tools.
fn without_list_of_files(text: &str) -> &str {
    match text.trim_start().strip_prefix("<attached_files>").and_then(|rest| rest.split_once("</attached_files>")) {
        Some((_, rest)) => rest,
        None => text,
    }
}

/// A message's pictures: its parts, then `images` as gateways answer them.
fn pictures(message: &Value) -> Vec<Value> {
    let url = |part: &Value| match &part["image_url"] {
        Value::String(url) => Some(Value::from(url.as_str())),
        link => link["url"].as_str().map(Value::from),
    };
    let lists = [&message["content"], &message["images"]];
    lists.into_iter().filter_map(Value::as_array).flatten().filter_map(url).collect()
}

/// The pictures that a message's text links to.
fn links(message: &Value) -> Vec<Value> {
    let text = message["content"].as_str().unwrap_or_default();
    linked(text).map(|(_, url)| url).chain(noted(text)).map(Value::from).collect()
}

/// The lines that tell where the pictures of an answer are kept. Markdown shows nothing of them, so chat UIs that store
/// pictures themselves show each once, and send the lines along when the chat goes on: they send no picture of an answer.
pub fn notes(links: &[String]) -> String {
    let note = |(place, link): (usize, &String)| format!("[picture {}]: {link}", place + 1);
    links.iter().enumerate().map(note).collect::<Vec<_>>().join("\n")
}

/// What such lines tell.
fn noted(text: &str) -> impl Iterator<Item = &str> {
    let note = |line: &'_ str| -> Option<usize> {
        let (place, _) = line.strip_prefix("[picture ")?.split_once("]: http")?;
        place.parse::<u32>().ok().map(|_| "[picture ]: ".len() + place.len())
    };
    text.lines().filter_map(move |line| line.get(note(line)?..))
}

/// Markdown's pictures, whole and their addresses.
fn linked(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("![").filter_map(|(at, _)| {
        let rest = &text[at..];
        let open = rest.find("](")?;
        let close = open + rest[open..].find(')')?;
        Some((&rest[..=close], &rest[open + 2..close]))
    })
}

/// The answer to a chore: what chat UIs ask of the same model to run the chat, not to see a picture.
fn chore(messages: &[Value], members: &Map<String, Value>) -> Option<String> {
    let last = messages.iter().rev().find(|message| message["role"] == "user").map(words).unwrap_or_default();
    // Open WebUI's templates all begin so, and show the JSON that they want.
    if last.starts_with("### Task:") {
        return Some(task_answer(&last));
    }
    // But for the one that asks for a face, while it is spoken to.
    if last.starts_with("Your task is to reflect the speaker's likely facial expression") {
        return Some(EMOJI.to_owned());
    }
    let system = messages.iter().filter(|message| message["role"] == "system" || message["role"] == "developer");
    let system: Vec<_> = system.map(words).collect();
    if let Some(text) = system.iter().find_map(|text| already_painted(text)) {
        return Some(text);
    }
    let mut asks = system.into_iter().chain([last.clone()]);
    if asks.any(|text| asks_for_a_title(&text)) {
        return Some(title(&last));
    }
    let json = members.get("response_format").and_then(|format| format["type"].as_str());
    json.is_some_and(|kind| kind.starts_with("json")).then(|| "{}".to_owned())
}

/// What to say where Open WebUI has painted by itself, or has tried to, before it asks the model of the chat.
fn already_painted(system: &str) -> Option<String> {
    let (_, context) = system.split_once("<context>")?;
    let (context, _) = context.split_once("</context>")?;
    if context.starts_with("The requested image has been") {
        return Some("Here it is.".into());
    }
    let failed = context.starts_with("Image generation was");
    failed.then(|| context.split_once("error occurred: ").map_or(context, |(_, error)| error).to_owned())
}

/// A palette.
const EMOJI: &str = "\u{1f3a8}";

fn task_answer(task: &str) -> String {
    let wants = |member: &str| task.contains(&format!("\"{member}\""));
    let said = said_in_history(task);
    let answer = if wants("title") {
        json!({ "title": title(said) })
    } else if wants("tags") {
        json!({ "tags": ["Art"] })
    } else if wants("follow_ups") {
        json!({ "follow_ups": [] })
    } else if wants("queries") {
        json!({ "queries": [] })
    } else if wants("prompt") {
        json!({ "prompt": said })
    } else if wants("text") {
        json!({ "text": "" })
    } else {
        return EMOJI.to_owned();
    };
    answer.to_string()
}

/// The user's last line in a history that is quoted in a task.
fn said_in_history(task: &str) -> &str {
    let line = task.lines().rev().find_map(|line| line.strip_prefix("USER:").or(line.strip_prefix("User:")));
    line.unwrap_or("Picture").trim()
}

/// Whether somebody wants a name for a conversation, rather than a picture with a title in it.
fn asks_for_a_title(text: &str) -> bool {
    let start: String = text.chars().take(400).collect::<String>().to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| start.contains(word));
    has(&["title"]) && has(&["conversation", "chat"]) && has(&["concise", "short", "brief", "word", "summar"])
}

/// The first words of a text.
fn title(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().take(6).collect();
    let title: String = words.join(" ").chars().take(60).collect();
    if title.is_empty() { "Picture".into() } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Chat {
        let Value::Object(members) = body else { panic!("an object") };
        Chat::read(members).unwrap()
    }

    #[track_caller]
    fn wished(body: Value) -> Value {
        match read(body).wish {
            ChatWish::Picture(members) | ChatWish::GoOn(members) => members.into(),
            ChatWish::Text(text) => panic!("a chore, answered with {text}"),
        }
    }

    #[track_caller]
    fn answered(text: &str) -> String {
        match read(json!({"messages": [{"role": "user", "content": text}]})).wish {
            ChatWish::Text(text) => text,
            wish => panic!("{wish:?}"),
        }
    }

    #[test]
    fn the_last_words_of_the_user_are_the_wish() {
        let chat = json!({"model": "core", "stream": true, "temperature": 0.7, "tools": [{}], "max_tokens": 5, "n": 2,
            "stream_options": {"include_usage": true}, "image_config": {"aspect_ratio": "16:9"}, "modalities": ["image"],
            "messages": [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": "a dog"},
                         {"role": "assistant", "content": "Here."}, {"role": "user", "content": [{"type": "text", "text": "a cat"}]}]});
        let read = read(chat.clone());
        assert_eq!((read.model.as_deref(), read.stream, read.include_usage), (Some("core"), true, true));
        assert_eq!(wished(chat), json!({"n": 2, "aspect_ratio": "16:9", "prompt": "a cat", "model": "core"}));
    }

    #[test]
    fn pictures_of_this_turn_or_the_one_before_are_edited() {
        let user = |content: Value| json!({"role": "user", "content": content});
        let part = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        let text = json!({"type": "text", "text": "blue"});
        let image = |messages: Value| wished(json!({"messages": messages}))["image"].clone();
        assert_eq!(image(json!([user(json!([text, part("data:1"), part("data:2")]))])), json!(["data:1", "data:2"]));
        let assistant = json!({"role": "assistant", "content": "Here", "images": [part("data:3")]});
        assert_eq!(
            image(json!([user(json!([text, part("data:1")])), assistant, user(json!("blue"))])),
            json!(["data:3"])
        );
        let linked = json!({"role": "assistant", "content": "![a cat](http://localhost:4000/files/1.2/3.png) done"});
        let link = json!(["http://localhost:4000/files/1.2/3.png"]);
        assert_eq!(image(json!([user(json!("a cat")), linked, user(json!("blue"))])), link);
        let plain = json!({"role": "assistant", "content": "Here"});
        assert_eq!(image(json!([user(json!([text, part("data:1")])), plain, user(json!("blue"))])), json!(["data:1"]));
        assert_eq!(image(json!([user(json!("a cat"))])), Value::Null);
        let members = wished(json!({"messages": [user(json!("make ![it](data:4) blue"))]}));
        assert_eq!((&members["prompt"], &members["image"]), (&json!("make  blue"), &json!(["data:4"])));
    }

    #[test]
    fn notes_of_an_answer_lead_to_its_pictures() {
        let links = ["http://easel:4000/files/1.2/3.png".to_owned(), "https://a.example/files/1.2/4.webp".to_owned()];
        let answer = format!("Painted by core.\n\n{}\n\n[1]: https://b.example/\n[picture x]: http://c", notes(&links));
        let turn = |role: &str, text: &str| json!({"role": role, "content": text});
        let messages = json!([turn("user", "a fox"), turn("assistant", &answer), turn("user", "make it blue")]);
        let ChatWish::GoOn(members) = read(json!({ "messages": messages })).wish else { panic!("a chat that goes on") };
        assert_eq!((&members["prompt"], &members["image"]), (&json!("make it blue"), &json!(links)));
    }

    #[test]
    fn what_open_webui_adds_is_not_painted() {
        let text = "<attached_files>\n<file type=\"image\" id=\"1\" url=\"1\"/>\n</attached_files>\n\nmake it blue";
        let url = json!({"type": "image_url", "image_url": {"url": "data:1"}});
        for content in [json!(text), json!([{"type": "text", "text": text}, url])] {
            let members = wished(json!({"messages": [{"role": "user", "content": content}]}));
            assert_eq!(members["prompt"], "make it blue");
        }
    }

    #[test]
    fn what_open_webui_has_painted_is_not_painted_again() {
        let said = |context: &str| {
            let system = json!({"role": "system", "content": format!("Be kind.\n<context>{context}</context>")});
            read(json!({"messages": [system, {"role": "user", "content": "a fox"}]})).wish
        };
        let done =
            "The requested image has been created by the system successfully and is now being shown to the user.";
        assert_eq!(said(done), ChatWish::Text("Here it is.".into()));
        let failed = "Image generation was attempted but failed because of an error. Tell the user that the following error occurred: too rude";
        assert_eq!(said(failed), ChatWish::Text("too rude".into()));
        let off = "Image generation was requested but the feature is currently disabled.";
        assert_eq!(said(off), ChatWish::Text(off.into()));
        assert!(matches!(said("The user likes foxes."), ChatWish::Picture(_)));
    }

    #[test]
    fn chores_of_chat_uis_are_not_painted() {
        let task = |what: &str, output: &str| {
            format!(
                "### Task:\n{what}\n### Output:\n{output}\n### Chat History:\n<chat_history>\nUSER: a red fox in deep snow at dawn\nASSISTANT: Here\n</chat_history>"
            )
        };
        let title =
            task("Generate a concise, 3-5 word title", r#"JSON format: { "title": "your concise title here" }"#);
        assert_eq!(answered(&title), r#"{"title":"a red fox in deep snow"}"#);
        let tags = task("Generate 1-3 broad tags", r#"JSON format: { "tags": ["tag1"] }"#);
        assert_eq!(answered(&tags), r#"{"tags":["Art"]}"#);
        let follow_ups = task("Suggest 3-5 relevant follow-up questions", r#"{ "follow_ups": [] }"#);
        assert_eq!(answered(&follow_ups), r#"{"follow_ups":[]}"#);
        assert_eq!(
            answered(&task("Generate a detailed prompt", r#"{ "prompt": "x" }"#)),
            r#"{"prompt":"a red fox in deep snow at dawn"}"#
        );
        let face = "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Message: ```a fox```";
        assert_eq!(answered(face), EMOJI);
        assert_eq!(
            answered("Provide a concise, 5-word-or-less title for the conversation."),
            "Provide a concise, 5-word-or-less title for"
        );
        let system = json!({"messages": [{"role": "system", "content": "Write a short title for this chat."},
                                         {"role": "user", "content": "a fox"}]});
        assert_eq!(read(system).wish, ChatWish::Text("a fox".into()));
        let json =
            json!({"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "tags?"}]});
        assert_eq!(read(json).wish, ChatWish::Text("{}".into()));
    }

    #[test]
    fn pictures_with_titles_are_pictures() {
        for prompt in
            ["a movie title card, concise lettering", "a short story's cover with its title", "two people chat"]
        {
            assert_eq!(wished(json!({"messages": [{"role": "user", "content": prompt}]}))["prompt"], prompt);
        }
    }

    #[test]
    fn what_is_no_chat_says_what_is_missing() {
        for (body, message) in [
            (json!({}), "missing required parameter: 'messages'. Say in a user message what to paint"),
            (json!({"messages": 5}), "invalid type for 'messages': expected an array, got the number 5"),
            (
                json!({"messages": [{"role": "user", "content": []}]}),
                "missing required parameter: 'messages'. The last user message has no text: say what to paint",
            ),
        ] {
            let Value::Object(members) = body else { panic!("an object") };
            assert_eq!(Chat::read(members).unwrap_err().message, message);
        }
    }
}
