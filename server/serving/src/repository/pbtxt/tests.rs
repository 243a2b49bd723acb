//! The text format: what is read, what is refused and where, and that nothing ends the process.

use proptest::prelude::*;

use super::*;

fn shown(message: &Message) -> String {
    fn one(value: &Value) -> String {
        if let Value::Message(message) = value {
            return format!("{{{}}}", shown(message));
        }
        let Value::List(values) = value else { return value.shown() };
        format!("[{}]", values.iter().map(one).collect::<Vec<_>>().join(" "))
    }
    let fields: Vec<_> = message.0.iter().map(|field| format!("{}={}", field.name, one(&field.value))).collect();
    fields.join(" ")
}

#[test]
fn everything_that_the_language_has_is_read() {
    for (text, want) in [
        ("", ""),
        ("# only a comment", ""),
        ("a: 1 b: -2, c: 0x1F; d: 010", "a=1 b=-2 c=31 d=8"),
        ("a: 1.5 b: 2f c: -1e-3 d: .5 e: 1E+2", "a=1.5 b=2 c=-0.001 d=0.5 e=100"),
        ("a: - 3 b: -inf c: nan d: 18446744073709551615", "a=-3 b=-inf c=nan d=18446744073709551615"),
        ("a: true b: TYPE_FP32", "a=true b=TYPE_FP32"),
        ("a { b: 1 } c: { d: 2 } e < f: 3 > g: <>", "a={b=1} c={d=2} e={f=3} g={}"),
        ("a: [1, 2 ,3] b: [] c: [ \"x\", 'y' ]", "a=[1 2 3] b=[] c=[\"x\" \"y\"]"),
        ("a [ { b: 1 }, < b: 2 > ] a { b: 3 }", "a=[{b=1} {b=2}] a={b=3}"),
        ("a: 1# comment\n b : 2 #\n#\n", "a=1 b=2"),
        ("a: 'one' \"two\"\n # and\n 'three'", "a=\"onetwothree\""),
        (r#"a: "\x41\102\u0043\U0001F600\\\'\"\?""#, "a=\"ABC😀\\\\\\'\\\"?\""),
        (r#"a: "\303\251" b: "é""#, "a=\"é\" b=\"é\""),
    ] {
        assert_eq!(shown(&parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))), want, "{text}");
    }
    let Value::Text(text) = &parse(r#"a: "\n\r\t\a\b\f\v""#).unwrap().0[0].value else { panic!("not a text") };
    assert_eq!(text, "\n\r\t\u{7}\u{8}\u{c}\u{b}");
}

#[test]
fn what_is_not_the_language_is_refused_with_its_line_and_column() {
    for (text, want) in [
        ("a", "1:2: unexpected end of the file; expected ':' or '{' after a"),
        ("a 1", "1:3: unexpected '1'; expected ':' or '{' after a"),
        ("a:", "1:3: unexpected end of the file; expected a value"),
        ("a: 1\n  b: }", "2:6: unexpected '}'; expected a value"),
        ("a {\n  b: 1\n", "3:1: unexpected end of the file; expected the name of a field or '}'"),
        ("a { b: 1 >", "1:10: unexpected '>'; expected the name of a field or '}'"),
        ("}", "1:1: unexpected '}'; expected the name of a field"),
        ("é: 1", "1:1: unexpected 'é'; expected the name of a field"),
        ("a: [1 2]", "1:7: unexpected '2'; expected ',' or ']'"),
        ("a: [1,]", "1:7: unexpected ']'; expected a value"),
        ("a: [[1]]", "1:5: unexpected '['; expected a value; lists do not lie in lists"),
        ("a [1]", "1:1: a list of values needs ':' after a"),
        ("a: 'x\n'", "1:4: the text has no end on this line; expected '"),
        ("a: \"x", "1:4: the text has no end on this line; expected \""),
        (r#"a: "\q""#, r#"1:5: no such escape; expected one of \n \r \t \a \b \f \v \\ \' \" \? \123 \x41 \u0041"#),
        (r#"a: "\xg""#, "1:5: \\x needs hexadecimal digits"),
        (r#"a: "\400""#, "1:5: an octal escape is above \\377"),
        (r#"a: "\ud800""#, "1:5: not a character's number behind \\u"),
        (r#"a: "\xff""#, "1:4: the text is not UTF-8"),
        ("a: 1x", "1:4: not a number; got \"1x\""),
        ("a: 09", "1:4: not a number; got \"09\""),
        ("a: -x", "1:5: not a number; got \"-x\""),
        ("a: 0x", "1:4: not a number; got \"0x\""),
        ("[foo.bar]: 1", "1:1: extensions and Any are not read here"),
        ("a: 1 % b: 2", "1:6: unexpected '%'; expected the name of a field"),
    ] {
        assert_eq!(parse(text).map(|message| shown(&message)).unwrap_err().to_string(), want, "{text}");
    }
}

#[test]
fn size_and_depth_have_an_end() {
    let deep = |levels: usize| format!("{}{}", "a{".repeat(levels), "}".repeat(levels));
    assert!(parse(&deep(DEPTH_MAX)).is_ok());
    let error = parse(&deep(DEPTH_MAX + 1)).unwrap_err().to_string();
    assert_eq!(error, "1:66: messages lie too deep within each other; expected at most 32 levels");
    assert!(parse(&"a{".repeat(BYTES_MAX / 2)).is_err());
    let error = parse(&" ".repeat(BYTES_MAX + 1)).unwrap_err().to_string();
    assert_eq!(error, "the file is too large; expected at most 1048576 bytes, got 1048577 bytes");
    assert!(parse(&" ".repeat(BYTES_MAX)).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_its_own_signs_makes_it_panic(text in "[a-c0-9x{}<>\\[\\]:;,.#'\"\\\\ \n+-]{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn whole_numbers_come_back(number in i64::MIN..=i64::MAX) {
        let message = parse(&format!("a: {number}")).unwrap();
        prop_assert_eq!(&message.0[0].value, &Value::Whole(i128::from(number)));
    }

    #[test]
    fn texts_come_back_from_their_escapes(text in "\\PC{0,50}") {
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
        let message = parse(&format!("a: '{escaped}'")).unwrap();
        prop_assert_eq!(&message.0[0].value, &Value::Text(text));
    }
}
