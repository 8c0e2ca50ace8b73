"""The examples as authors test their sources: natively, against a remote that is a function."""

import json
import logging
import pathlib
import sys
import unittest
from urllib.parse import parse_qs, urlsplit

here = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(here), str(here / "examples")]

from comments import Comments  # noqa: E402
from feed import Feed  # noqa: E402

from sandbar_sdk import (  # noqa: E402
    Malformed,
    OffsetLost,
    ReadLimit,
    Selection,
    Unauthorized,
    Unavailable,
    progress_note,
)
from sandbar_sdk.testing import FakeClient, FakeResponse  # noqa: E402


def number(request, name, default=0):
    found = parse_qs(urlsplit(request.url).query).get(name)
    return int(found[0]) if found else default


def comments(rows, **options):
    def answer(request):
        start, limit = number(request, "_start"), number(request, "_limit")
        page = [{"id": row + 1, "name": f"name {row + 1}"} for row in range(start, min(rows, start + limit))]
        return FakeResponse(page, headers={"X-Total-Count": str(rows)})

    client = FakeClient(answer)
    return Comments("comments", {"api_url": "http://api/comments", **options}, client), client


def at(current):
    return {"current": current}


class CommentsTest(unittest.TestCase):
    def test_a_range_is_known_before_it_is_read(self):
        source, client = comments(25, rows_per_batch=10)
        latest = source.latest_offset(at(20), None)
        self.assertEqual(latest, at(25))
        self.assertEqual(source.batch_end(at(0), latest, ReadLimit(100)), at(10))
        self.assertEqual(source.batch_end(at(20), latest, ReadLimit(3)), at(23))
        self.assertEqual(len(client.requests), 1)
        with self.assertRaises(OffsetLost):
            source.latest_offset(at(26), None)

    def test_partitions_cover_the_range_once(self):
        source, _ = comments(10_000, page_size=7)
        for first, last in [(0, 0), (0, 1), (3, 500), (20, 45)]:
            parts = source.partitions(at(first), at(last))
            self.assertLessEqual(len(parts), 16)
            rows = [row for part in parts for row in range(part["start"], part["end"])]
            self.assertEqual(rows, list(range(first, last)))

    def test_pages_are_read_once_and_the_next_is_on_its_way(self):
        source, client = comments(25, page_size=10)
        batches = list(source.read({"start": 3, "end": 25}))
        ids = [row["id"] for rows in batches for row in rows.objects]
        self.assertEqual(ids, list(range(4, 26)))
        self.assertEqual(len(client.requests), 3)

    def test_what_a_remote_does_wrong_has_its_error(self):
        for response, error in [
            (FakeResponse("<html>", 503, {"Retry-After": "7"}), Unavailable),
            (FakeResponse(status=401), Unauthorized),
            (FakeResponse(b"<html>"), Malformed),
            (FakeResponse({"error": "no"}), Malformed),
            (FakeResponse([{"id": 1}] * 9), Malformed),
            (FakeResponse([]), Malformed),
        ]:
            source = Comments("comments", {"api_url": "http://api/c"}, FakeClient(lambda _, response=response: response))
            with self.assertRaises(error) as raised:
                list(source.read({"start": 0, "end": 3}))
            if error is Unavailable:
                self.assertEqual(raised.exception.retry_after, 7)

    def test_the_note_is_taken_up(self):
        progress_note.forget()
        source, _ = comments(25)
        self.assertEqual(source.initial_offset(), at(0))
        source.commit(at(20))
        self.assertEqual(source.initial_offset(), at(20))
        progress_note.forget()


def feed(rows):
    def answer(request):
        if "cursor=expired" in request.url:
            return FakeResponse({"error": "gone"}, 410)
        start, size = number(request, "cursor"), number(request, "size")
        end = start + size
        items = [{"id": row + 1} for row in range(start, min(rows, end))]
        return FakeResponse({"items": items, "next": str(end) if end < rows else None})

    return Feed("feed", {"url": "http://api/feed", "page_size": 3}, FakeClient(answer))


class FeedTest(unittest.TestCase):
    def test_reading_on_gives_the_rest_whatever_the_limit(self):
        for limit in [1, 2, 3, 4, 7, 8]:
            position, ids = Feed.first_offset, []
            while True:
                batches = list(feed(7).read_from(position, ReadLimit(limit)))
                if not batches:
                    break
                self.assertLessEqual(sum(rows.count() for rows, _ in batches), limit)
                ids += [row["id"] for rows, _ in batches for row in rows.objects]
                position = json.loads(json.dumps(batches[-1][1]))
            self.assertEqual(ids, list(range(1, 8)))
            # The last page may grow.
            self.assertEqual([rows.count() for rows, _ in feed(9).read_from(position, ReadLimit())], [2])

    def test_an_expired_cursor_is_lost(self):
        with self.assertRaises(OffsetLost):
            list(feed(7).read_from({"cursor": "expired", "taken": 0}, ReadLimit()))
        with self.assertRaises(OffsetLost):
            list(feed(7).read_from({"cursor": "6", "taken": 2}, ReadLimit()))


    def test_an_answer_without_rows_or_with_an_odd_cursor_is_malformed(self):
        for answer in [{"error": "try later"}, {"items": [{"id": 1}], "next": False}, {"items": [{"id": 1}], "next": {}}]:
            client = FakeClient(lambda _, answer=answer: FakeResponse(answer))
            with self.assertRaises(Malformed):
                list(Feed("feed", {"url": "http://api/feed"}, client).read_from(Feed.first_offset, ReadLimit()))

    def test_a_cursor_may_be_a_number_of_any_length(self):
        client = FakeClient(lambda _: FakeResponse(b'{"items": [{"id": 1}], "next": 12345678901234567890123}'))
        batches = Feed("feed", {"url": "http://api/feed"}, client).read_from(Feed.first_offset, ReadLimit())
        self.assertEqual(next(iter(batches))[1], {"cursor": "12345678901234567890123", "taken": 0})


class SelectionTest(unittest.TestCase):
    def test_columns_come_from_pointers_texts_and_constants(self):
        selection = Selection("/data").value("id", "/key/0").json_text("user", "/user").constant("from", "api")
        page = FakeResponse({"data": [{"key": [1], "user": {"a": 1}}, {}]})
        self.assertEqual(
            page.rows(selection).objects,
            [{"id": 1, "user": '{"a": 1}', "from": "api"}, {"id": None, "user": "null", "from": "api"}],
        )


if __name__ == "__main__":
    logging.disable()
    unittest.main()
