"""TypeScript: types by openapi-typescript from what the server serves, compiled strictly, and called with."""

import node


def test_generated_types_compile_and_the_calls_are_answered(url):
    for document, name in (("/openapi.json", "api"), ("/api/v1/models/iris/openapi.json", "iris")):
        node.run("node_modules/.bin/openapi-typescript", url + document, "--output", f"generated/{name}.d.ts")
    assert "sepal_length: number;" in (node.HOME / "generated/iris.d.ts").read_text("utf-8")
    node.run("node_modules/.bin/tsc", "--project", "tsconfig.json")
    said = node.run("node", "dist/calls.js", url)
    assert said.count("ok ") == 6, said
