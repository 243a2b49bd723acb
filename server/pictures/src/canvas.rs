//! What every picture has: its frame, its name for who does not see it, a title, axes, a legend.
//!
//! Between [`crate::markup`] and [`crate::pictures`]. A canvas grows downwards and knows its height when it is finished.
//! It does not know explanations.

use crate::{
    markup::{Markup, attributes},
    scale::Scale,
    style::{self, SIZE, STEPS, Style, TITLE},
    text,
};

/// Between a picture's border and what it holds.
pub(crate) const PAD: f64 = 14.0;
/// From one line of text to the next.
pub(crate) const LINE: f64 = 18.0;

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// An SVG in the making.
pub(crate) struct Canvas<'a> {
    pub style: &'a Style,
    pub width: f64,
    /// Where the next thing goes.
    pub y: f64,
    pub body: Markup,
    title: String,
}

impl<'a> Canvas<'a> {
    /// With a title and lines below it.
    pub fn new(style: &'a Style, title: &str, below: &str) -> Self {
        let mut canvas =
            Self { style, width: style.pixels(), y: PAD, body: Markup::default(), title: title.to_owned() };
        let room = canvas.inner();
        for line in text::wrap(title, room, TITLE, true, 3) {
            canvas.y += TITLE + 1.0;
            let attributes = attributes! { "x" => PAD, "y" => canvas.y, "font-size" => TITLE, "font-weight" => "bold" };
            canvas.body.with("text", attributes, &text::isolated(&line));
            canvas.body.line();
            canvas.y += 4.0;
        }
        canvas.note(below);
        canvas.y += 10.0;
        canvas
    }

    /// The width between the borders.
    pub fn inner(&self) -> f64 {
        self.width - 2.0 * PAD
    }

    /// What the shares leave unexplained, where the digits of the picture show it.
    pub fn gap(&mut self, ranked: &crate::rank::Ranked) {
        if ranked.shows_residual() {
            self.y += 8.0;
            self.note(&format!(
                "The shares do not add up: {} are not explained.",
                ranked.format.share(ranked.residual)
            ));
        }
    }

    /// A text in the middle of nothing else, wrapped.
    pub fn note(&mut self, note: &str) {
        for line in text::wrap(note, self.inner(), SIZE, false, 6) {
            self.y += LINE;
            let y = self.y;
            self.text(PAD, y, Anchor::Start, "soft", &line);
        }
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &'static str, content: &str) {
        let bold = class.split(' ').any(|word| word == "bold");
        let content = text::isolated(content);
        let anchored = attributes! { "x" => x, "y" => y, "text-anchor" => anchor.word(), "class" => class };
        let heavy = attributes! {
            "x" => x, "y" => y, "text-anchor" => anchor.word(), "class" => class, "font-weight" => "bold",
        };
        let start = attributes! { "x" => x, "y" => y, "class" => class };
        let chosen: crate::markup::Attributes<'_> = match (bold, anchor) {
            (true, _) => heavy,
            (false, Anchor::Start) => start,
            (false, Anchor::Middle | Anchor::End) => anchored,
        };
        self.body.with("text", chosen, &content);
        self.body.line();
    }

    /// "name = value" within `room`, the value in the softer colour; what does not fit is cut in the middle.
    pub fn label(&mut self, x: f64, y: f64, anchor: Anchor, room: f64, label: &Label<'_>) {
        let value =
            label.value.map(|value| format!(" = {}", text::isolated(&text::clip(value, room * 0.45, SIZE, false))));
        let value = value.unwrap_or_default();
        let name = text::clip(label.name, room - text::width(&value, SIZE, false), SIZE, false);
        let attributes = attributes! { "x" => x, "y" => y, "text-anchor" => anchor.word(), "class" => "halo" };
        self.body.open("text", attributes);
        self.body.text(&text::isolated(&name));
        if !value.is_empty() {
            self.body.with("tspan", attributes! { "class" => "soft" }, &value);
        }
        self.body.close();
        self.body.line();
    }

    pub fn straight(&mut self, from: (f64, f64), to: (f64, f64), class: &'static str) {
        let ends = attributes! { "x1" => from.0, "y1" => from.1, "x2" => to.0, "y2" => to.1, "class" => class };
        self.body.leaf("line", ends);
        self.body.line();
    }

    pub fn path(&mut self, class: &str, d: &str) {
        self.body.leaf("path", attributes! { "class" => class, "d" => d });
        self.body.line();
    }

    pub fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let attributes = attributes! {
            "x" => at.0, "y" => at.1, "width" => size.0.max(0.0), "height" => size.1.max(0.0), "class" => class,
        };
        self.body.leaf("rect", attributes);
        self.body.line();
    }

    /// A horizontal axis at `self.y`: ticks with labels, and its title below.
    pub fn axis_below(&mut self, scale: &Scale, factor: f64, ends: (f64, f64), title: &str) {
        let axis = Axis { factor, ends, labels_end: self.width - 2.0, is_whole: false };
        self.axis(scale, &axis, title);
    }

    /// The same, as its caller wishes.
    pub fn axis(&mut self, scale: &Scale, axis: &Axis, title: &str) {
        let (bottom, ends) = (self.y, axis.ends);
        self.straight((ends.0, bottom), (ends.1, bottom), "axis");
        let mut free_from = f64::NEG_INFINITY;
        for tick in scale.ticks(axis.most(), axis.factor, axis.is_whole) {
            self.straight((tick.x, bottom), (tick.x, bottom + 4.0), "axis");
            let half = text::width(&tick.label, SIZE, false) / 2.0;
            if tick.x - half > free_from + 4.0 && tick.x - half >= 2.0 && tick.x + half <= axis.labels_end {
                self.text(tick.x, bottom + LINE, Anchor::Middle, "soft", &tick.label);
                free_from = tick.x + half;
            }
        }
        self.y = bottom + LINE + 2.0;
        self.axis_title(title, ends);
    }

    /// Vertical lines at the ticks, to be drawn before what stands on them.
    pub fn grid_up(&mut self, scale: &Scale, factor: f64, top: f64, bottom: f64, ends: (f64, f64)) {
        let axis = Axis { factor, ends, labels_end: 0.0, is_whole: false };
        for tick in scale.ticks(axis.most(), factor, false) {
            self.straight((tick.x, top), (tick.x, bottom), "grid");
        }
    }

    /// The title of a horizontal axis, below its numbers.
    pub fn axis_title(&mut self, title: &str, ends: (f64, f64)) {
        let room = self.inner();
        let middle = f64::midpoint(ends.0, ends.1);
        for line in text::wrap(title, room, SIZE, false, 2) {
            self.y += LINE;
            let half = text::width(&line, SIZE, false) / 2.0;
            let x = middle.clamp(PAD + half, (self.width - PAD - half).max(PAD + half));
            let y = self.y;
            self.text(x, y, Anchor::Middle, "ink", &line);
        }
    }

    /// Words with signs before them, in one or more rows.
    pub fn legend(&mut self, entries: &[(Sign, &str)]) {
        self.y += 12.0;
        let mut x = PAD;
        let mut is_first = true;
        for (sign, words) in entries {
            let words = text::clip(words, self.inner() - 26.0, SIZE, false);
            let wide = 26.0 + text::width(&words, SIZE, false);
            if is_first || x + wide > self.width - PAD {
                x = PAD;
                self.y += LINE;
                is_first = false;
            }
            let middle = self.y - 4.5;
            self.sign(*sign, x, middle);
            let y = self.y;
            self.text(x + 24.0, y, Anchor::Start, "ink", &words);
            x += wide + 18.0;
        }
    }

    fn sign(&mut self, sign: Sign, x: f64, middle: f64) {
        match sign {
            Sign::Up => self.path("up", &arrow(x, x + 17.0, middle, 10.0)),
            Sign::Down => self.path("down", &arrow(x + 17.0, x, middle, 10.0)),
            Sign::Neutral => self.rect((x, middle - 5.0), (17.0, 10.0), "neutral"),
            Sign::Bars => self.rect((x, middle - 5.0), (17.0, 10.0), "bars"),
            Sign::Whisker => self.whisker((x, x + 17.0), middle),
            Sign::Line => self.stroke(x, middle, "line", 3.0),
            Sign::Thin => self.stroke(x, middle, "axis pale", 1.5),
            Sign::Dash => self.straight((x, middle), (x + 17.0, middle), "inked dash"),
            Sign::Data => {
                for at in [2.0, 6.0, 8.0, 13.0] {
                    self.straight((x + at, middle - 4.0), (x + at, middle + 4.0), "inked");
                }
            }
            Sign::Above => self.rect((x, middle - 6.0), (17.0, 5.0), "up"),
            Sign::Below => self.rect((x, middle + 1.0), (17.0, 5.0), "down"),
            Sign::WarmCell => self.rect((x, middle - 5.0), (17.0, 10.0), "warm"),
            Sign::ColdCell => self.rect((x, middle - 5.0), (17.0, 10.0), "cold"),
            Sign::Ring => {
                let d = format!("M{} {}h0", x + 9.0, middle);
                self.dots("none", 7.0, &d);
                self.dots("hole", 4.0, &d);
            }
            Sign::Mean => {
                let attributes = attributes! {
                    "x1" => x + 9.0, "x2" => x + 9.0, "y1" => middle - 6.0, "y2" => middle + 6.0, "class" => "line",
                    "stroke-width" => 4.0,
                };
                self.body.leaf("line", attributes);
            }
            Sign::Dot(class) => self.dots(class, 7.0, &format!("M{} {}h0", x + 9.0, middle)),
        }
    }

    fn stroke(&mut self, x: f64, middle: f64, class: &'static str, thick: f64) {
        let attributes = attributes! {
            "x1" => x, "y1" => middle, "x2" => x + 17.0, "y2" => middle, "class" => class, "stroke-width" => thick,
        };
        self.body.leaf("line", attributes);
    }

    /// Points: zero-length strokes with round ends, ten bytes each.
    pub fn dots(&mut self, class: &str, size: f64, d: &str) {
        if !d.is_empty() {
            let class = format!("dot {class}");
            self.body.leaf("path", attributes! { "class" => &class, "stroke-width" => size, "d" => d });
            self.body.line();
        }
    }

    /// The colours of small to large values, with a word at each end.
    pub fn ramp(&mut self, title: &str, low: &str, high: &str) {
        self.y += 14.0;
        let title = text::clip(title, self.inner(), SIZE, false);
        self.y += LINE;
        let room = ((self.inner() - 130.0) / 2.0).max(40.0);
        let (low, high) = (text::clip(low, room, SIZE, false), text::clip(high, room, SIZE, false));
        let wide = text::width(&title, SIZE, false) + 12.0;
        let ends = text::width(&low, SIZE, false) + text::width(&high, SIZE, false) + 130.0;
        let y = self.y;
        self.text(PAD, y, Anchor::Start, "ink", &title);
        let mut x = PAD + wide;
        if wide + ends > self.inner() {
            self.y += LINE;
            x = PAD;
        }
        let y = self.y;
        self.text(x, y, Anchor::Start, "soft", &low);
        x += text::width(&low, SIZE, false) + 12.0;
        for step in 0..STEPS {
            let d = format!("M{} {}h0", crate::markup::coordinate(x), crate::markup::coordinate(y - 4.5));
            self.dots(&format!("v{step}"), 10.0, &d);
            x += 12.0;
        }
        self.text(x, y, Anchor::Start, "soft", &high);
    }

    /// A picture that says why there is nothing to see.
    pub fn nothing(style: &Style, title: &str, why: &str) -> String {
        let mut canvas = Canvas::new(style, title, "");
        canvas.note(why);
        canvas.finish(why)
    }

    /// The whole picture; `description` is what it shows, in words.
    pub fn finish(self, description: &str) -> String {
        let height = (self.y + PAD).ceil();
        let (title_id, description_id) = (self.style.id("title"), self.style.id("desc"));
        let labelled = format!("{title_id} {description_id}");
        let view = format!("0 0 {} {height}", self.width);
        let mut svg = Markup::default();
        let attributes = attributes! {
            "xmlns" => "http://www.w3.org/2000/svg", "viewBox" => &view, "width" => self.width, "height" => height,
            "class" => "candor", "role" => "img", "aria-labelledby" => &labelled, "font-family" => "sans-serif",
            "font-size" => SIZE,
        };
        svg.open("svg", attributes);
        svg.with("title", attributes! { "id" => &title_id }, &self.title);
        svg.with("desc", attributes! { "id" => &description_id }, description);
        if self.style.standalone {
            svg.open("style", &[]);
            svg.made(&style::style_sheet(self.style.theme));
            svg.close();
        }
        svg.leaf("rect", attributes! { "width" => self.width, "height" => height, "class" => "ground" });
        svg.line();
        svg.made(&self.body.finish());
        svg.close();
        svg.line();
        svg.finish()
    }
}

/// A horizontal axis.
pub(crate) struct Axis {
    /// What labels are multiplied by.
    pub factor: f64,
    pub ends: (f64, f64),
    /// No label goes beyond.
    pub labels_end: f64,
    /// Have all values no fraction?
    pub is_whole: bool,
}

impl Axis {
    /// Ticks for which there is room.
    fn most(&self) -> usize {
        let fits = ((self.ends.1 - self.ends.0) / 66.0).clamp(3.0, 9.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 3 and 9")]
        let most = fits as usize;
        most
    }
}

/// A feature and its value.
pub(crate) struct Label<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

/// What stands before the words of a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Up,
    Down,
    Neutral,
    Bars,
    Whisker,
    Line,
    Thin,
    Dash,
    Data,
    Above,
    Below,
    WarmCell,
    ColdCell,
    Ring,
    Mean,
    Dot(&'static str),
}

/// A bar that points from one place to another: its direction is seen without its colour.
pub(crate) fn arrow(from: f64, to: f64, middle: f64, height: f64) -> String {
    let head = (to - from).abs().min(height * 0.35) * (to - from).signum();
    let (top, bottom) = (middle - height / 2.0, middle + height / 2.0);
    let [from, neck, to, top, middle, bottom] =
        [from, to - head, to, top, middle, bottom].map(crate::markup::coordinate);
    format!("M{from} {top}L{neck} {top}L{to} {middle}L{neck} {bottom}L{from} {bottom}Z")
}
