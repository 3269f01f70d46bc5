"""Jobs over REST: nodes are copied, moved, deleted and restored by who may, and how far it is can be asked."""

import json
from collections import Counter

import pytest

from cellsmono.interfaces.people import SetAcl
from cellsmono.interfaces.users import Profile

BOTH = ("read", "write")


@pytest.fixture
def ours(site):
    """A site with a recycle bin, the workspace, and the token of who may write."""
    alice = site.user("alice")
    site.perform(SetAcl(site.source, "group:/", {"recycle_root": "1"}))
    return site, site.workspace("ws", {"": site.source}, (alice, *BOTH)), site.token(alice)


def begin(site, token, name, *nodes, **more):
    body = {"JobName": name, "JsonParameters": json.dumps({"nodes": nodes, **more})}
    return site.call("PUT", f"/jobs/user/{name}", token, body)


def look(site, token, **asked):
    answer = site.call("POST", "/jobs/user", token, {"LoadTasks": "Any", **asked})
    assert answer.status == 200, answer
    return answer.json.get("Jobs", [])


def control(site, token, cmd, job_id):
    return site.call("PUT", "/jobs/user", token, {"Cmd": cmd, "JobId": job_id})


def await_job(site, job_id):
    site.server.run(site.server.core.jobs.wait(job_id))


def done(site, token, answer, status="Finished"):
    """Its one task, when the job is over."""
    assert answer.status == 200, answer
    job_id = answer.json["JobUuid"]
    await_job(site, job_id)
    (job,) = look(site, token, JobIDs=[job_id])
    (task,) = job["Tasks"]
    assert (job["ID"], task["JobID"], task["Status"]) == (job_id, job_id, status), job
    return task


def deleted(site, token, *paths, **more):
    answer = site.call("POST", "/tree/delete", token, {"Nodes": [{"Path": path} for path in paths], **more})
    assert answer.status == 200, answer
    (job,) = answer.json["DeleteJobs"]
    await_job(site, job["Uuid"])
    return job


def test_copying_and_moving(ours):
    site, slug, token = ours
    site.put("a/x", "a/in/y", "b/z")
    task = done(site, token, begin(site, token, "copy", f"{slug}/a", f"/{slug}/b/z", target=slug, targetParent=True))
    assert (task["Progress"], task["HasProgress"], task["TriggerOwner"]) == (1.0, True, f"alice{site.number}")
    assert task["EndTime"] >= task["StartTime"] > 1_700_000_000
    assert "CanStop" not in task
    assert site.held() == ["a-1/in/y", "a-1/x", "a/in/y", "a/x", "b/z", "z"]
    uuid = site.uuid("a/")
    done(site, token, begin(site, token, "move", f"{slug}/a", target=f"{slug}/b", targetParent=True))
    assert site.uuid("b/a/") == uuid
    done(site, token, begin(site, token, "move", f"{slug}/b/a/", target=f"{slug}/c"))
    assert site.uuid("c/") == uuid, "without targetParent the target is the new path"
    assert begin(site, token, "copy", f"{slug}/z", target=f"{slug}/b/z").status == 409


def test_what_is_deleted_comes_back(ours):
    site, slug, token = ours
    site.put("dir/x", "dir/y", "kept")
    uuid = site.uuid("dir/")
    job = deleted(site, token, f"{slug}/dir", Recursive=True)
    assert (job["NodeUuid"], job["Label"]) == (uuid, "Delete dir")
    assert site.held() == ["kept", "recycle_bin/dir/x", "recycle_bin/dir/y"]
    back = site.call("POST", "/tree/restore", token, {"Nodes": [{"Path": f"{slug}/recycle_bin/dir/x"}]})
    await_job(site, back.json["RestoreJobs"][0]["Uuid"])
    assert site.held() == ["dir/x", "kept", "recycle_bin/dir/y"]
    done(site, token, begin(site, token, "delete", f"{slug}/kept", f"{slug}/dir/x"))
    done(site, token, begin(site, token, "restore", f"{slug}/recycle_bin/x", f"{slug}/recycle_bin/kept"))
    assert site.held() == ["dir/x", "kept", "recycle_bin/dir/y"]
    deleted(site, token, f"{slug}/recycle_bin/dir")
    assert [key for key in site.held() if key != "recycle_bin/"] == ["dir/x", "kept"], "out of the bin it is for good"
    refused = site.call("POST", "/tree/restore", token, {"Nodes": [{"Path": f"{slug}/kept"}]})
    assert (refused.status, refused.json["Code"]) == (409, "conflict")


def test_the_children_of_a_folder_alone(ours):
    site, slug, token = ours
    site.put("a/x", "b")
    deleted(site, token, f"{slug}/a/x", f"{slug}/b")
    site.put("recycle_bin/.hidden")
    done(site, token, begin(site, token, "delete", f"{slug}/recycle_bin", childrenOnly=True))
    assert [key for key in site.held() if key != "recycle_bin/"] == []
    folder = {"Path": f"{slug}/dir", "Type": "COLLECTION"}
    assert site.call("POST", "/tree/create", token, {"Nodes": [folder]}).status == 200
    uuid = site.uuid("dir/")
    site.put("dir/x", "dir/in/y")
    done(site, token, begin(site, token, "delete", f"{slug}/dir", childrenOnly=True))
    assert site.held() == ["dir/", "recycle_bin/in/y", "recycle_bin/x"]
    assert site.uuid("dir/") == uuid
    again = begin(site, token, "delete", f"{slug}/dir", childrenOnly=True)
    assert (again.status, again.json["Code"]) == (409, "empty")


@pytest.mark.parametrize(
    ("name", "parameters", "status", "code"),
    [
        ("compress", "{}", 404, "job_name"),
        ("copy", "", 400, "target"),
        ("delete", "", 400, "nodes"),
        ("copy", "{", 400, "json"),
        ("copy", "[" * 100_000, 400, None),
        ("copy", '{"nodes": "WS/x"}', 400, "json"),
        ("copy", '{"nodes": ["WS/x"], "targetParent": "yes"}', 400, "json"),
        ("copy", '{"nodes": ["WS/x"]}', 400, "target"),
        ("copy", '{"nodes": [], "target": "WS"}', 400, "nodes"),
        ("copy", '{"nodes": ["WS/x", "WS/dir/y"], "target": "WS/new"}', 400, "invalid"),
        ("copy", '{"nodes": ["WS/x"], "target": "WS/../y"}', 400, "path"),
        ("copy", '{"nodes": ["WS/none"], "target": "WS/y"}', 404, "not_found"),
        ("copy", '{"nodes": ["WS/x"], "target": "WS/none", "targetParent": true}', 404, "not_found"),
        ("copy", '{"nodes": ["WS/x"], "target": "none/y"}', 404, "not_found"),
        ("move", '{"nodes": ["WS/dir"], "target": "WS/dir/in"}', 409, "conflict"),
        ("move", '{"nodes": ["WS"], "target": "WS/new"}', 403, "forbidden"),
        ("delete", '{"nodes": ["WS"]}', 403, "forbidden"),
        ("delete", '{"nodes": [""]}', 400, "path"),
        ("delete", '{"nodes": ["WS/x"], "childrenOnly": true}', 400, "nodes"),
        ("restore", '{"nodes": ["WS/x"]}', 409, "conflict"),
    ],
)
def test_what_can_not_be_begun(ours, name, parameters, status, code):
    site, slug, token = ours
    site.put("x", "dir/y")
    body = {"JsonParameters": parameters.replace("WS", slug)}
    answer = site.call("PUT", f"/jobs/user/{name}", token, body)
    assert answer.status == status, answer
    assert code in {None, answer.json["Code"]}, answer
    assert look(site, token) == []
    assert site.held() == ["dir/y", "x"]


def test_who_may_not(ours):
    site, slug, token = ours
    site.put("dir/x", "y")
    reader, stranger = site.user("reader"), site.user("stranger")
    reading = site.workspace("reading", {"": site.source}, (reader, "read"))
    reads, strange = site.token(reader), site.token(stranger)
    for name in ("copy", "move", "delete"):
        assert begin(site, reads, name, f"{reading}/y", target=f"{reading}/z").status == 403
        assert begin(site, strange, name, f"{slug}/y", target=f"{slug}/z").status == 404
        assert begin(site, "", name, f"{slug}/y", target=f"{slug}/z").status == 401
    bound = site.token(f"alice{site.number}", scopes=(f"node:{site.uuid('dir/')}:rw",))
    assert begin(site, bound, "copy", f"{slug}/y", target=f"{slug}/dir/y").status in {403, 404}
    assert begin(site, bound, "copy", f"{slug}/dir/x", target=f"{slug}/z").status in {403, 404}
    assert site.held() == ["dir/x", "y"]
    done(site, bound, begin(site, bound, "copy", f"{slug}/dir/x", target=f"{slug}/dir/z"))
    assert site.held() == ["dir/x", "dir/z", "y"]
    assert site.call("POST", "/jobs/user", bound, {}).status == 403, "the jobs are about other nodes, too"
    assert len(look(site, token)) == 1


def test_whose_jobs_are_told(ours):
    site, slug, token = ours
    site.put("x")
    mine = deleted(site, token, f"{slug}/x")["Uuid"]
    alice, other, root = f"alice{site.number}", site.token(site.user("bob")), site.user("root", Profile.ADMIN)
    admin = site.token(root)
    assert [job["ID"] for job in look(site, token)] == [mine]
    assert [job["Owner"] for job in look(site, token, Owner=alice)] == [alice]
    assert look(site, other) == look(site, other, JobIDs=[mine]) == look(site, admin) == []
    for owner in (alice, "*"):
        assert site.call("POST", "/jobs/user", other, {"Owner": owner}).status == 403
        assert mine in [job["ID"] for job in look(site, admin, Owner=owner)]
    assert site.call("POST", "/jobs/user", admin, {"Owner": "nobody-here"}).status == 404
    for cmd in ("Stop", "Delete"):
        assert control(site, other, cmd, mine).status == 404
    assert control(site, admin, "Delete", mine).status == 200
    assert look(site, token) == []


def test_tasks_by_status(ours):
    site, slug, token = ours
    site.put("x")
    mine = deleted(site, token, f"{slug}/x")["Uuid"]
    counts = Counter()
    for status in ("Unknown", "Any", "Finished", "Running", 3, 6, 8):
        for job in look(site, token, LoadTasks=status):
            assert job["ID"] == mine
            counts[status] += 1 + len(job.get("Tasks", []))
    assert counts == {"Unknown": 1, "Any": 2, "Finished": 2, 3: 2, 6: 2}
    assert look(site, token, EventsOnly=True) == look(site, token, TimersOnly=True) == []
    assert "Tasks" not in look(site, token, TasksOffset=1)[0]
    for wrong in ({"TasksOffset": -1}, {"JobIDs": ["x"] * 1_001}, {"LoadTasks": "Soon"}):
        assert site.call("POST", "/jobs/user", token, wrong).status == 400


def test_a_job_is_controlled(ours):
    site, slug, token = ours
    site.put("x", "y")
    jobs = site.server.core.jobs
    turns = jobs._turns

    async def take_all():
        return [await turns.acquire() for _ in range(turns._value)]

    taken = site.server.run(take_all())
    try:
        job_id = begin(site, token, "copy", f"{slug}/x", target=f"{slug}/z").json["JobUuid"]

        def task():
            return look(site, token, JobIDs=[job_id])[0]["Tasks"][0]

        waiting = task()
        assert (waiting["Status"], waiting["CanStop"], waiting["CanPause"]) == ("Queued", True, True)
        assert "Progress" not in waiting
        assert control(site, token, "Delete", job_id).status == 409
        for cmd, status in (("Pause", "Paused"), ("Resume", "Queued"), (3, "Interrupted"), ("Resume", "Queued")):
            assert control(site, token, cmd, job_id).status == 200
            assert task()["Status"] == status
        assert control(site, token, "Resume", job_id).status == 409
    finally:
        for _ in taken:
            site.server.loop.call_soon_threadsafe(turns.release)
    await_job(site, job_id)
    assert site.held() == ["x", "y", "z"]
    assert control(site, token, "Stop", job_id).json == {"Msg": f"The job {job_id} is finished"}
    assert control(site, token, "Pause", job_id).status == 409
    by_task = site.call("PUT", "/jobs/user", token, {"Cmd": "Delete", "TaskId": job_id})
    assert by_task.json == {"Msg": f"The job {job_id} was deleted"}
    assert look(site, token) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "job_id"),
        ({"JobId": "none"}, 400, "cmd"),
        ({"Cmd": "RunOnce", "JobId": "none"}, 400, "cmd"),
        ({"Cmd": "Burn", "JobId": "none"}, 400, "json"),
        ({"Cmd": "Stop", "JobId": "none"}, 404, "not_found"),
        ({"Cmd": "Delete", "JobId": "x" * 10_000}, 404, "not_found"),
    ],
)
def test_what_is_no_command(ours, body, status, code):
    site, _, token = ours
    answer = site.call("PUT", "/jobs/user", token, body)
    assert (answer.status, answer.json["Code"]) == (status, code)


def test_a_job_that_fails_says_why(ours):
    site, slug, token = ours
    site.put("dir/a", "dir/hidden/x")
    site.perform(SetAcl(f"{site.source}/dir/hidden", f"user:alice{site.number}", {"deny": "1"}))
    task = done(site, token, begin(site, token, "move", f"{slug}/dir", target=f"{slug}/new"), "Error")
    assert task["StatusMessage"]
    assert site.held() == ["dir/a", "dir/hidden/x"]


def origins(site, token, folder):
    """Path and origin of what is in a folder, as a listing and as ``stat`` have them."""
    listed = site.call("POST", "/tree/stats", token, {"NodePaths": [f"{folder}/*"]}).json["Nodes"]
    found = {}
    for node in listed:
        alone = site.call("GET", f"/tree/stat/{node['Path']}", token).json["Node"]
        (one, two) = (each["MetaStore"].get("pydio:recycle_restore") for each in (node, alone))
        assert one == two
        found[node["Path"]] = None if one is None else json.loads(one)
    return found


def test_what_is_in_the_bin_tells_where_it_was(ours):
    site, slug, token = ours
    site.put("dir/in/x", "dir/in/y", "top", "kept")
    deleted(site, token, f"{slug}/dir/in/x")
    deleted(site, token, f"{slug}/dir", f"{slug}/top")
    site.put("recycle_bin/by-hand")
    assert origins(site, token, f"{slug}/recycle_bin") == {
        f"{slug}/recycle_bin/by-hand": None,
        f"{slug}/recycle_bin/dir": f"{slug}/dir",
        f"{slug}/recycle_bin/top": f"{slug}/top",
        f"{slug}/recycle_bin/x": f"{slug}/dir/in/x",
    }
    assert origins(site, token, f"{slug}/recycle_bin/dir/in") == {f"{slug}/recycle_bin/dir/in/y": None}
    assert origins(site, token, slug) == {f"{slug}/kept": None, f"{slug}/recycle_bin": None}


def test_it_is_told_in_the_words_of_the_workspace(site):
    site.put("one/deep/x", "two/y")
    site.perform(SetAcl(f"{site.source}/one", "group:/", {"recycle_root": "1"}))
    alice = site.user("alice")
    both = site.workspace("both", {"a": f"{site.source}/one", "b": f"{site.source}/two"}, (alice, *BOTH))
    one = site.workspace("one", {"": f"{site.source}/one"}, (alice, *BOTH))
    token = site.token(alice)
    deleted(site, token, f"{both}/a/deep/x")
    assert origins(site, token, f"{both}/a/recycle_bin") == {f"{both}/a/recycle_bin/x": f"{both}/a/deep/x"}
    assert origins(site, token, f"{one}/recycle_bin") == {f"{one}/recycle_bin/x": f"{one}/deep/x"}


def test_folders_that_are_kept_from_a_user_are_not_told(ours):
    site, slug, token = ours
    site.put("secret/x", "secret/y", "open/z")
    bob = site.user("bob")
    shared = site.workspace("shared", {"": site.source}, (bob, *BOTH))
    site.perform(SetAcl(f"{site.source}/secret", f"user:{bob}", {"deny": "1"}))
    deleted(site, token, f"{slug}/secret/x", f"{slug}/open/z")
    assert origins(site, site.token(bob), f"{shared}/recycle_bin") == {
        f"{shared}/recycle_bin/x": None,
        f"{shared}/recycle_bin/z": f"{shared}/open/z",
    }
