"""The documents are what they say they are: OpenAPI 3.1 and 3.0, by an independent validator."""

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from wire import get

MODELS = ("iris", "digits", "diabetes", "simple_string", "simple_identity")


def document(address: str, path: str) -> dict:
    reply = get(address, path)
    assert reply.status == 200
    return reply.json()


def places(model: str | None) -> tuple[str, str]:
    folder = f"/api/v1/models/{model}" if model else ""
    return f"{folder}/openapi.json", f"{folder}/openapi-3.0.json"


@pytest.mark.parametrize("model", [None, *MODELS])
def test_each_keeps_to_its_version(address, model):
    newer, older = places(model)
    for path, prefix, validator in (
        (newer, "3.1.", OpenAPIV31SpecValidator),
        (older, "3.0.", OpenAPIV30SpecValidator),
    ):
        content = document(address, path)
        assert content["openapi"].startswith(prefix)
        assert [str(error) for error in validator(content).iter_errors()] == []


@pytest.mark.parametrize("model", [None, *MODELS])
def test_the_twin_has_the_same_operations_and_lists_what_it_lacks(address, model):
    newer, older = (document(address, path) for path in places(model))
    operations = [
        {(path, method) for path, item in content["paths"].items() for method in item}
        for content in (newer, older)
    ]
    assert operations[0] == operations[1]
    assert set(newer["components"]["schemas"]) == set(older["components"]["schemas"])
    assert isinstance(older["x-left-out"], list)
    if model is None:
        assert any("text~1csv" in line for line in older["x-left-out"])
