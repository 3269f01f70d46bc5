"""A script as people write them against Cells: an administrator signs in by password, and sets up a colleague."""

import json

import pytest

from cellsmono.interfaces.users import Profile

PASSWORD = "correct horse"


@pytest.fixture
def site(flat_site):
    return flat_site


def sign_in(site, login):
    info = {"login": login, "password": PASSWORD, "type": "credentials"}
    return site.call("POST", "/frontend/session", body={"AuthInfo": info, "ClientTime": 1_700_000_000}).json["JWT"]


def poll(site, token, job_id):
    """The task of a job once it is over, as clients wait for it: they ask again and again."""
    while True:
        (job,) = site.call("POST", "/jobs/user", token, {"JobIDs": [job_id], "LoadTasks": "Any"}).json["Jobs"]
        (task,) = job["Tasks"]
        if task["Status"] not in {"Queued", "Running"}:
            return task


def run_job(site, token, name, *nodes, **more):
    body = {"JobName": name, "JsonParameters": json.dumps({"nodes": nodes, **more})}
    answer = site.call("PUT", f"/jobs/user/{name}", token, body)
    assert answer.status == 200, answer
    return poll(site, token, answer.json["JobUuid"])


def recycle(site, token, path):
    (job,) = site.call("POST", "/tree/delete", token, {"Nodes": [{"Path": path}]}).json["DeleteJobs"]
    assert poll(site, token, job["Uuid"])["Status"] == "Finished"


def test_a_script_runs_through(site):
    admin = sign_in(site, site.user("root", Profile.ADMIN, PASSWORD))

    def post(path, body, token=admin):
        answer = site.call("POST", path, token, body)
        assert answer.status == 200, answer
        return answer.json

    def put(path, body):
        answer = site.call("PUT", path, admin, body)
        assert answer.status == 200, answer
        return answer.json

    spaces = {each["Slug"]: each for each in post("/workspace", {"Queries": [{"scope": "ADMIN"}]})["Workspaces"]}
    assert {"personal-files", "common-files"} <= spaces.keys()

    folder = f"common-files/project-{site.number}"
    made = post("/tree/create", {"Nodes": [{"Path": folder, "Type": "COLLECTION"}], "Recursive": False})["Children"][0]
    uploaded = site.call("PUT", f"/io/{folder}/plan.txt", admin, b"plan")
    assert uploaded.status == 200
    assert site.call("GET", f"/tree/stat/{folder}", admin).json["Node"]["Uuid"] == made["Uuid"]

    copied = run_job(site, admin, "copy", folder, target=f"{folder}-copy")
    assert copied["Status"] == "Finished"
    assert site.call("GET", f"/io/{folder}-copy/plan.txt", admin).body == b"plan"
    recycle(site, admin, f"{folder}-copy")
    assert site.call("GET", f"/tree/stat/{folder}-copy", admin).status == 404
    lying = site.call("GET", f"/tree/stat/common-files/recycle_bin/project-{site.number}-copy", admin).json["Node"]
    assert json.loads(lying["MetaStore"]["pydio:recycle_restore"]) == f"{folder}-copy"
    (restored,) = post("/tree/restore", {"Nodes": [{"Path": lying["Path"]}]})["RestoreJobs"]
    assert poll(site, admin, restored["Uuid"])["Status"] == "Finished"
    back = site.call("GET", f"/tree/stat/{folder}-copy", admin).json["Node"]
    assert back["Uuid"] == lying["Uuid"]
    post("/tree/delete", {"Nodes": [{"Path": f"{folder}-copy"}], "RemovePermanently": True})

    login = f"erin{site.number}"
    user = put(f"/user/{login}", {"Login": login, "Password": PASSWORD, "Attributes": {"profile": "standard"}})
    erin = sign_in(site, login)
    listed = post("/tree/stats", {"NodePaths": [f"{folder}/*"], "AllMetaProviders": True}, erin)["Nodes"]
    assert [json.loads(node["MetaStore"]["name"]) for node in listed] == ["plan.txt"]

    deny = {"NodeID": made["Uuid"], "RoleID": user["Uuid"], "Action": {"Name": "deny", "Value": "1"}}
    row = put("/acl", deny)
    assert site.call("GET", f"/tree/stat/{folder}/plan.txt", erin).status == 403
    assert f"project-{site.number}" not in json.dumps(post("/tree/stats", {"NodePaths": ["common-files/*"]}, erin))
    assert post("/acl/bulk/delete", {"ID": row["ID"]}) == {"Success": True, "NumRows": "1"}
    assert site.call("GET", f"/io/{folder}/plan.txt", erin).body == b"plan"

    post("/tree/create", {"Nodes": [{"Path": "personal-files/mine", "Type": "COLLECTION"}]}, erin)
    assert [node["Path"] for node in post("/tree/stats", {"NodePaths": ["personal-files/*"]}, erin)["Nodes"]] == [
        "personal-files/mine"
    ]
    assert "Nodes" not in post("/tree/stats", {"NodePaths": ["personal-files/mine"]})
    found = post("/tree/admin/stat", {"Node": {"Path": f"personal/{login}/mine"}})["Node"]
    assert found["Path"] == f"personal/{login}/mine"

    post("/tree/delete", {"Nodes": [{"Path": folder}], "Recursive": True, "RemovePermanently": True})
    assert site.call("GET", f"/tree/stat/{folder}", erin).status == 404
    assert site.call("DELETE", f"/user/{login}", admin).status == 200
    assert site.call("GET", "/frontend/state", erin).status == 401
