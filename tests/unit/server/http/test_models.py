from headrace_server.errors import DatabaseUnavailableError


async def test_the_models_of_the_default_project_are_listed_in_the_contract_s_words(door):
    answer = await door.get("/v1/models")
    assert answer.status == 200
    assert [model["name"] for model in answer.json["models"]] == ["Churn", "flight_delay"]
    shown = answer.json["models"][0]
    assert (shown["project"], shown["identity"], shown["revision"]) == ("main", "IDENTITY_UNIQUE", "3")
    assert (shown["chunk_interval"], shown["events_table"]) == ("604800s", '"main"."churn"')
    assert answer.json["next_page_token"] == ""


async def test_a_project_s_models_are_its_own(door):
    answer = await door.get("/v1/projects/bank/models")
    assert [model["name"] for model in answer.json["models"]] == ["fraud"]


async def test_pages_follow_each_other_to_the_last(door):
    first = (await door.get("/v1/models?page_size=1")).json
    second = (await door.get(f"/v1/models?page_size=1&page_token={first['next_page_token']}")).json
    third = (await door.get(f"/v1/models?page_size=1&page_token={second['next_page_token']}")).json
    names = [[model["name"] for model in page["models"]] for page in (first, second, third)]
    assert (names, third["next_page_token"]) == ([["Churn"], ["flight_delay"], []], "")


async def test_a_page_size_out_of_bounds_is_refused(door):
    for size in ("0", "1001", "many", "-1"):
        answer = await door.get(f"/v1/models?page_size={size}")
        assert (answer.status, size in answer.json["detail"]) == (400, True)


async def test_one_model_is_shown(door):
    assert (await door.get("/v1/models/flight_delay")).json["name"] == "flight_delay"
    assert (await door.get("/v1/projects/bank/models/fraud")).json["project"] == "bank"


async def test_a_model_that_is_not_there_is_not_found(door):
    answer = await door.get("/v1/projects/bank/models/churn")
    assert (answer.status, answer.json["reason"]) == (404, "MODEL_NOT_FOUND")
    assert answer.json["metadata"] == {"project": "bank", "model": "churn"}


async def test_an_error_of_the_registry_is_told(door):
    door.registry.error = DatabaseUnavailableError("the database does not answer")
    answer = await door.get("/v1/models/flight_delay")
    assert (answer.status, answer.json["reason"], answer.headers["Retry-After"]) == (503, "DATABASE_UNAVAILABLE", "1")


async def test_a_defect_of_the_registry_is_an_incident(door):
    door.registry.error = ZeroDivisionError("secret")
    answer = await door.get("/v1/models/flight_delay")
    assert (answer.status, answer.json["reason"]) == (500, "INTERNAL")
    assert answer.json["metadata"]["incident"]
    assert door.counted("Models.get", "500") == 1
