"""Every kind of payload from the SDK into its table."""

import asyncio
import json

import asyncpg

import headrace
from headrace import vision
from support.service import ServiceProcess


def log(address: str) -> list[str]:
    """Log an image with what was found in it, and a class with its probabilities; returns their ids."""
    with headrace.connect(address) as client:
        images = client.register(
            headrace.Schema(
                features={"embedding": "vector(3)"},
                predictions={"found": "json"},
                labels={"drawn": "json"},
                task="object_detection",
                classes=["cat", "dog"],
            ),
            name="images",
        )
        pets = client.register(
            headrace.Schema(
                predictions={"kind": "category", "all": "json"},
                task="multiclass_classification",
                classes=["cat", "dog"],
            ),
            name="pets",
        )
        box = vision.Detection(classes=["cat"], scores=[0.9], boxes=[[10, 20.5, 30, 40]])
        media = headrace.Media(uri="s3://b/i.png", content_type="image/png", height=800, width=600, sha256="ab" * 32)
        image = images.log(
            {"embedding": [0.5, 1.0, 2.0]}, box, media=media, latency_s=0.257, source="serving", tags=["t"]
        )
        images.log_label(image, label=vision.Detection(classes=["dog"], boxes=[[10, 20, 30, 40]]))
        pet = pets.log(prediction="cat", probabilities={"cat": 0.8, "dog": 0.2}, metadata={"k": [1]})
        client.flush(30)
        assert client.stats().rejected == 0
    return [image, pet]


async def test_payloads_of_the_sdk_are_in_their_columns(service: ServiceProcess, database: asyncpg.Connection) -> None:
    image, pet = await asyncio.to_thread(log, service.grpc)
    row = await database.fetchrow("SELECT * FROM main.images_joined WHERE event_id = $1", image)
    assert json.loads(row["found"]) == {"classes": ["cat"], "scores": [0.9], "boxes": [[10, 20.5, 30, 40]]}
    assert json.loads(row["drawn"]) == {"classes": ["dog"], "boxes": [[10, 20, 30, 40]]}
    assert (row["embedding"], row["latency_ms"], row["source"], row["tags"]) == ([0.5, 1, 2], 257, "serving", ["t"])
    assert (row["media_uri"], row["media_content_type"]) == ("s3://b/i.png", "image/png")
    assert (row["media_height"], row["media_width"], row["media_sha256"]) == (800, 600, "ab" * 32)
    row = await database.fetchrow("SELECT * FROM main.pets WHERE event_id = $1", pet)
    assert (row["kind"], json.loads(row["all"])) == ("cat", {"cat": 0.8, "dog": 0.2})
    assert json.loads(row["metadata"]) == {"k": [1]}
