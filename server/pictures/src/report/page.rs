//! A page of HTML that needs nothing but itself: headings, paragraphs, lists, facts, and figures with their tables.
//!
//! Under both reports. It is well-formed XML too, so that a test can read it. It has no script and no address; its
//! policy forbids both. It does not know what a report tells.

use super::data::Fact;
use crate::{
    markup::{Attributes, Markup, attributes},
    style::{self, DARK, LIGHT, Palette, Style, Theme},
    tables::Table,
    text,
};

/// Wide pictures from this width of the window on.
const WIDE: u32 = 760;
/// The `Content-Security-Policy` of a report: this page's own style, and images that are in it.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// A page in the making.
pub(super) struct Page<'a> {
    pub style: &'a Style,
    pub body: Markup,
    title: String,
    figures: usize,
}

impl<'a> Page<'a> {
    pub fn new(style: &'a Style, title: &str) -> Self {
        Self { style, body: Markup::default(), title: title.to_owned(), figures: 0 }
    }

    pub fn with(&mut self, name: &'static str, attributes: Attributes<'_>, content: &str) {
        self.body.with(name, attributes, content);
        self.body.line();
    }

    pub fn paragraph(&mut self, content: &str) {
        self.with("p", &[], content);
    }

    /// A part with a heading; [`Self::end`] closes it.
    pub fn section(&mut self, id: &str, heading: &str) {
        self.body.open("section", attributes! { "aria-labelledby" => id });
        self.with("h2", attributes! { "id" => id }, heading);
    }

    pub fn end(&mut self) {
        self.body.close();
        self.body.line();
    }

    pub fn list(&mut self, class: &'static str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.body.open("ul", attributes! { "class" => class });
        for item in items {
            self.with("li", &[], item);
        }
        self.end();
    }

    pub fn facts(&mut self, facts: &[Fact]) {
        self.body.open("dl", &[]);
        for fact in facts {
            self.body.open("div", &[]);
            self.body.with("dt", &[], &text::isolated(&text::clean(&fact.name)));
            self.body.with("dd", &[], &text::isolated(&text::clean(&fact.value)));
            self.end();
        }
        self.end();
    }

    /// A picture, drawn for wide and for narrow windows, how to read it, and the same as a table.
    pub fn figure(&mut self, draw: impl Fn(&Style) -> String, how: &str, table: &Table, is_open: bool) {
        self.figures += 1;
        self.body.open("figure", &[]);
        for (class, width) in [("wide", 700), ("narrow", 330)] {
            let id = format!("figure-{}-{class}", self.figures);
            let style = Style { width, id, standalone: false, ..self.style.clone() };
            self.body.open("div", attributes! { "class" => class });
            self.body.made(&draw(&style));
            self.end();
        }
        if !how.is_empty() {
            self.with("figcaption", &[], how);
        }
        if is_open {
            self.body.open("details", attributes! { "open" => "open" });
        } else {
            self.body.open("details", &[]);
        }
        self.with("summary", &[], "The same as a table");
        // Who uses no mouse must be able to go there to see the rest of a table that is wider than the window.
        let region = attributes! {
            "class" => "scroll", "role" => "region", "aria-label" => &table.caption, "tabindex" => "0",
        };
        self.body.open("div", region);
        table.write(&mut self.body);
        self.end();
        self.end();
        self.end();
    }

    /// The whole page.
    pub fn finish(self) -> String {
        let mut page = Markup::default();
        page.made("<!DOCTYPE html>\n");
        page.open("html", attributes! { "lang" => "en" });
        page.open("head", &[]);
        page.leaf("meta", attributes! { "charset" => "utf-8" });
        page.leaf("meta", attributes! { "http-equiv" => "Content-Security-Policy", "content" => POLICY });
        page.leaf("meta", attributes! { "name" => "viewport", "content" => "width=device-width, initial-scale=1" });
        page.leaf("meta", attributes! { "name" => "referrer", "content" => "no-referrer" });
        page.leaf("meta", attributes! { "name" => "robots", "content" => "noindex" });
        page.with("title", &[], &self.title);
        page.open("style", &[]);
        page.made(&sheet(self.style.theme));
        page.close();
        page.close();
        page.line();
        page.open("body", &[]);
        page.open("main", &[]);
        page.line();
        page.made(&self.body.finish());
        page.close();
        page.close();
        page.close();
        page.line();
        page.finish()
    }
}

fn colours(palette: &Palette, scheme: &str) -> String {
    let Palette { ground, panel, ink, soft, grid, up, down, line, .. } = palette;
    format!(
        ":root{{color-scheme:{scheme};--ground:{ground};--panel:{panel};--ink:{ink};--soft:{soft};--grid:{grid};--up:{up};\
         --down:{down};--line:{line}}}"
    )
}

/// The style of a report, and of the pictures in it. On paper always light.
fn sheet(theme: Theme) -> String {
    let own = match theme {
        Theme::Light => colours(&LIGHT, "light"),
        Theme::Dark => colours(&DARK, "dark"),
        Theme::Auto => format!(
            "{}@media screen and (prefers-color-scheme:dark){{{}}}",
            colours(&LIGHT, "light"),
            colours(&DARK, "dark")
        ),
    };
    format!(
        "{own}{}{RULES}@media (min-width:{WIDE}px){{.wide{{display:block}}.narrow{{display:none}}}}{PRINT}",
        style::style_sheet(theme)
    )
}

const RULES: &str = "
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,\
'Helvetica Neue',Arial,'Liberation Sans','DejaVu Sans',sans-serif;overflow-wrap:anywhere}
main{max-width:732px;margin:0 auto;padding:28px 16px 56px}
h1{font-size:27px;line-height:1.25;margin:0 0 4px}
h2{font-size:20px;line-height:1.3;margin:0 0 10px}
h3{font-size:16px;line-height:1.4;margin:22px 0 6px}
p{margin:0 0 12px}
section{border-top:1px solid var(--grid);margin-top:30px;padding-top:22px}
.kind,.soft,figcaption,caption,dt{color:var(--soft)}
.kind{font-size:14px;margin:0 0 2px}
.said{background:var(--panel);border-left:5px solid var(--line);border-radius:0 6px 6px 0;padding:14px 18px;margin:20px 0 14px}
.said p{margin:0}
.said .label{font-size:23px;line-height:1.3;font-weight:bold}
.warning{border-left:5px solid var(--up);background:var(--panel);border-radius:0 6px 6px 0;padding:10px 16px;margin:0 0 12px}
ul{margin:0 0 14px;padding-left:22px}
li{margin:0 0 6px}
.up,.down{list-style:none;padding:0}
ul.up li,ul.down li{border-left:5px solid var(--up);padding:1px 0 1px 12px}
ul.down li{border-left-color:var(--down)}
.amount{font-weight:bold}
.ups{color:var(--up)}.downs{color:var(--down)}
figure{margin:18px 0 6px}
figure svg{display:block;width:100%;height:auto;max-width:700px}
.wide{display:none}
.narrow svg{max-width:460px;margin:0 auto}
figcaption{font-size:14px;margin:6px 0 8px}
details{font-size:14px;margin:0 0 12px}
summary{cursor:pointer;color:var(--ink);padding:6px 0;text-decoration:underline;text-underline-offset:3px}
table{border-collapse:collapse;width:100%;font-size:14px;line-height:1.4;margin:4px 0 14px}
caption{text-align:left;font-size:13px;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:5px 8px 5px 0;border-bottom:1px solid var(--grid);font-weight:normal}
thead th{font-weight:bold;vertical-align:bottom}
.scroll{overflow-x:auto}
.words{min-width:7.4em}
th.number{overflow-wrap:normal}
td.number{white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
.number{text-align:right;font-variant-numeric:tabular-nums;padding-left:8px}
dl{margin:0 0 12px;font-size:14px}
dl>div{display:grid;grid-template-columns:minmax(0,11em) minmax(0,1fr);gap:2px 14px;padding:5px 0;\
border-bottom:1px solid var(--grid)}
dd{margin:0;font-variant-numeric:tabular-nums}
nav ul{list-style:none;padding:0;margin:16px 0 0;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px}
a{color:var(--down);text-underline-offset:3px;padding:3px 0;display:inline-block}
:focus-visible{outline:3px solid var(--down);outline-offset:2px}
@media (max-width:520px){dl>div{grid-template-columns:minmax(0,1fr)}h1{font-size:23px}.said .label{font-size:20px}}
";

const PRINT: &str = "
@page{margin:16mm}
@media print{
body{font-size:11pt}
main{max-width:none;padding:0}
nav,summary{display:none}
.wide{display:block}.narrow{display:none}
.scroll{overflow:visible}
figure>.wide,tr,li,.said,dl>div{break-inside:avoid}
h1,h2,h3{break-after:avoid}
details::details-content{content-visibility:visible;display:block;height:auto;block-size:auto}
}
";
