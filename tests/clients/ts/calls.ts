// A program as a user would write it: types from the served documents, calls with openapi-fetch.
// Compiled with every check that tsc has for this, and run by test_typescript.py.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./generated/api.js";
import type { components, paths as IrisPaths } from "./generated/iris.js";

const baseUrl = process.argv[2];
assert(baseUrl, "usage: calls.js http://HOST:PORT");

const api = createClient<paths>({ baseUrl });
const iris = createClient<IrisPaths>({ baseUrl });

async function rowsArePredicted(): Promise<void> {
  const { data, error, response } = await api.POST("/api/v1/models/{model}/predict", {
    params: { path: { model: "iris" } },
    body: { rows: [{ sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 }], id: "one" },
  });
  assert.equal(response.status, 200);
  assert(data, JSON.stringify(error));
  assert.deepEqual([data.id, data.model, data.version], ["one", "iris", "2"]);
  assert.equal(data.predictions[0]?.label, "setosa");
}

async function modelsAreListed(): Promise<void> {
  const { data } = await api.GET("/api/v1/models", { params: { query: { q: "iris", state: "ready" } } });
  assert.deepEqual(data?.models.map((model) => model.name), ["iris"]);
  // @ts-expect-error There is no such state.
  const { response } = await api.GET("/api/v1/models", { params: { query: { state: "redy" } } });
  assert.equal(response.status, 400);
}

async function tensorsAreInferred(): Promise<void> {
  const { data } = await api.POST("/v2/models/{model}/infer", {
    params: { path: { model: "iris" } },
    body: { inputs: [{ name: "features", shape: [1, 4], datatype: "FP32", data: [5.1, 3.5, 1.4, 0.2] }] },
  });
  assert.deepEqual(data?.outputs.find((output) => output.name === "label")?.data, [0]);
}

async function aProblemIsTyped(): Promise<void> {
  const { error } = await api.GET("/api/v1/models/{model}", { params: { path: { model: "irsi" } } });
  assert(error);
  assert.equal(error.code, "not_found");
  assert.equal(error.type, "/problems/not-found");
}

async function aFlowerIsTyped(): Promise<void> {
  const flower: components["schemas"]["Row"] = {
    sepal_length: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2,
  };
  const { data } = await iris.POST("/api/v1/models/iris/predict", { body: { rows: [flower] } });
  const prediction = data?.predictions[0];
  assert(prediction);
  const species: "setosa" | "versicolor" | "virginica" = prediction.label;
  assert.equal(species, "setosa");
  assert(prediction.probabilities.setosa > prediction.probabilities.virginica);
}

async function aMisspeltFeatureDoesNotCompile(): Promise<void> {
  const { error } = await iris.POST("/api/v1/models/iris/predict", {
    // @ts-expect-error A feature is misspelt.
    body: { rows: [{ sepal_lenght: 5.1, sepal_width: 3.5, petal_length: 1.4, petal_width: 0.2 }] },
  });
  assert.equal(error?.code, "invalid_input");
}

for (const call of [
  rowsArePredicted, modelsAreListed, tensorsAreInferred, aProblemIsTyped, aFlowerIsTyped, aMisspeltFeatureDoesNotCompile,
]) {
  await call();
  console.log(`ok ${call.name}`);
}
