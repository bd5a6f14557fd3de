"""The Job of an attempt: what Rung puts there, what it leaves as the author wrote it, what it refuses."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rung.api.checkpoints import at_step, location
from rung.api.errors import InvalidStudy
from rung.api.study import Parameter, Study
from rung.kube.render import check_pod_template, gpus_of, gpus_of_job, render_job
from rung.kube.told import environment_of, parameters_json
from tests.kube.builders import PARAMETERS, TEXTS, a_study, a_trial

RESOURCE = {"type": "ASHA", "resource": {"metric": "epoch", "min": 1, "max": 27}, "eta": 3}


def job_of(
    study: Study, *, attempt: int = 2, resume_from: str | None = None, target: int | None = None
) -> dict[str, Any]:
    return render_job(study, a_trial(), attempt, resume_from, target)


def env_of(job: dict[str, Any], container: int = 0) -> dict[str, Any]:
    return {
        v["name"]: v.get("value", v.get("valueFrom"))
        for v in job["spec"]["template"]["spec"]["containers"][container]["env"]
    }


def test_one_job_is_one_pod_is_one_attempt() -> None:
    spec = job_of(a_study())["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [78]}},
    ]
    assert "suspend" not in spec


def test_the_job_is_named_by_study_trial_and_attempt_and_owned_by_its_trial() -> None:
    metadata = job_of(a_study())["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("ml", "digits-7-2")
    assert metadata["ownerReferences"] == [
        {"apiVersion": "rung.dev/v1alpha1", "kind": "Trial", "name": "digits-7", "uid": "aaaa", "controller": True}
    ]


def test_job_and_pod_carry_the_labels_that_lists_and_watches_select_by() -> None:
    job = job_of(a_study())
    ours = {
        "rung.dev/study": "digits",
        "rung.dev/trial": "7",
        "rung.dev/attempt": "2",
        "rung.dev/study-uid": "11112222-3333-4444-5555-666677778888",
    }
    assert job["spec"]["template"]["metadata"]["labels"] == ours
    assert ours.items() <= job["metadata"]["labels"].items()
    assert json.loads(job["metadata"]["annotations"]["rung.dev/parameters"]) == {
        "lr": 0.003, "width": 64, "batch": 32, "optimizer": "adam",
    }  # fmt: skip


def test_metadata_of_the_template_goes_to_the_job_and_cannot_take_our_labels() -> None:
    study = a_study(
        trial={
            "metadata": {
                "labels": {"kueue.x-k8s.io/queue-name": "gpus", "rung.dev/trial": "99"},
                "annotations": {"note": "lr is $(params.lr)"},
            }
        }
    )
    metadata = job_of(study)["metadata"]
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert metadata["labels"]["rung.dev/trial"] == "7"
    assert metadata["annotations"]["note"] == "lr is 0.003"


def test_the_trial_is_told_what_the_contract_says() -> None:
    study = a_study(scheduler=RESOURCE)
    assert env_of(job_of(study, resume_from="/runs/digits-3/step-9", target=27)) == {
        "RUNG_STUDY": "digits",
        "RUNG_NAMESPACE": "ml",
        "RUNG_TRIAL": "digits-7",
        "RUNG_TRIAL_NUMBER": "7",
        "RUNG_ATTEMPT": "2",
        "RUNG_SEED": "41",
        "RUNG_REPEAT": "0",
        "RUNG_PARAMETERS": '{"lr": 0.003, "width": 64, "batch": 32, "optimizer": "adam"}',
        "RUNG_METRICS_PORT": "9100",
        "RUNG_RESOURCE_METRIC": "epoch",
        "RUNG_RESOURCE_TARGET": "27",
        "RUNG_RESUME_FROM": "/runs/digits-3/step-9",
        "POD_IP": {"fieldRef": {"fieldPath": "status.podIP"}},
        "RUNG_METRICS_HOST": {"fieldRef": {"fieldPath": "status.podIP"}},
    }


def test_the_author_s_variables_come_after_ours_and_win() -> None:
    env = [{"name": "NAME", "value": "$(RUNG_TRIAL)"}, {"name": "RUNG_SEED", "value": "1"}]
    study = a_study(pod={"containers": [{"name": "c", "image": "i", "env": env}]})
    variables = job_of(study)["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variables[-2:] == env
    assert [v["name"] for v in variables].count("RUNG_SEED") == 1


def test_a_termination_log_elsewhere_is_left_there_and_told() -> None:
    container = {
        "name": "c",
        "image": "i",
        "terminationMessagePath": "/tmp/last",
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    job = job_of(a_study(pod={"containers": [container]}))
    made = job["spec"]["template"]["spec"]["containers"][0]
    assert (made["terminationMessagePath"], made["terminationMessagePolicy"]) == ("/tmp/last", "FallbackToLogsOnError")
    assert env_of(job)["RUNG_TERMINATION_LOG"] == "/tmp/last"


def test_without_a_termination_log_of_its_own_nothing_is_said_of_it() -> None:
    job = job_of(a_study())
    assert "terminationMessagePath" not in job["spec"]["template"]["spec"]["containers"][0]
    assert "RUNG_TERMINATION_LOG" not in env_of(job)


def test_the_checkpoint_volume_holds_one_folder_per_study_and_trial() -> None:
    study = a_study(
        trial={"checkpoint": {"persistentVolumeClaim": "runs"}}, pod={"volumes": [{"name": "own", "emptyDir": {}}]}
    )
    pod = job_of(study)["spec"]["template"]["spec"]
    assert pod["volumes"] == [
        {"name": "own", "emptyDir": {}},
        {"name": "rung-checkpoints", "persistentVolumeClaim": {"claimName": "runs"}},
    ]
    assert pod["containers"][0]["volumeMounts"] == [
        {"name": "rung-checkpoints", "mountPath": "/runs", "subPath": "digits-11112222"}
    ]
    environment = env_of(job_of(study))
    assert environment["RUNG_CHECKPOINT_DIR"] == "/runs/digits-7"
    assert environment["RUNG_CHECKPOINT_KEEP"] == "0"


def test_a_rung_that_is_a_run_of_its_own_has_its_target_and_a_folder_of_its_own() -> None:
    scheduler = {"type": "ASHA", "mode": "Restart", "resource": {"min": 4, "max": 100}}
    container = {"name": "t", "image": "i", "args": ["$(resource.target)", "$(resource.fraction)"]}
    trial = {"checkpoint": {"persistentVolumeClaim": "runs"}}
    job = job_of(a_study(scheduler=scheduler, pod={"containers": [container]}, trial=trial), target=12)
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["12", "0.12"]
    environment = env_of(job)
    assert environment["RUNG_RESOURCE_TARGET"] == "12"
    assert environment["RUNG_CHECKPOINT_DIR"] == "/runs/digits-7/rung-12"


def test_a_repeat_is_told_which_one_it_is() -> None:
    container = {"name": "t", "image": "i", "args": ["--repeat=$(trial.repeat)"]}
    study, trial = a_study(pod={"containers": [container]}), a_trial()
    again = trial.model_copy(update={"spec": trial.spec.model_copy(update={"repeat": 2, "repeat_of": 3})})
    job = render_job(study, again, 1, resume_from=None, target=None)
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["--repeat=2"]
    assert env_of(job)["RUNG_REPEAT"] == "2"


def test_checkpoints_at_a_uri_need_no_volume_and_are_named_by_step_too() -> None:
    study = a_study(trial={"checkpoint": {"uri": "s3://ckpt/runs/"}})
    job = job_of(study, resume_from=at_step("s3://ckpt/runs/digits-11112222/digits-7", 1_000_000.0))
    pod = job["spec"]["template"]["spec"]
    assert "volumes" not in pod
    assert "volumeMounts" not in pod["containers"][0]
    environment = env_of(job)
    assert environment["RUNG_CHECKPOINT_DIR"] == "s3://ckpt/runs/digits-11112222/digits-7"
    assert environment["RUNG_RESUME_FROM"] == "s3://ckpt/runs/digits-11112222/digits-7/step-1000000"


@pytest.mark.parametrize(
    ("checkpoint", "volume", "want"),
    [
        pytest.param({"uri": "s3://ckpt"}, None, "s3://ckpt/digits-11112222/digits-7/step-9", id="below the URI"),
        pytest.param({"uri": "s3://ckpt"}, "/x", "s3://ckpt/digits-11112222/digits-7/step-9", id="on a machine too"),
        pytest.param(
            {"persistentVolumeClaim": "runs"}, None, "pvc://runs/digits-11112222/digits-7/step-9", id="in the volume"
        ),
        pytest.param({"persistentVolumeClaim": "runs"}, "/x/ck", "/x/ck/digits-7/step-9", id="in a machine's folder"),
    ],
)
def test_people_are_told_where_a_checkpoint_lies(checkpoint: dict[str, str], volume: str | None, want: str) -> None:
    assert location(a_study(trial={"checkpoint": checkpoint}), 7, 9.0, volume=volume) == want


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param({}, False, id="no token by default: a trial has no business with the API"),
        pytest.param({"automountServiceAccountToken": True}, True, id="one if the author asks for it"),
    ],
)
def test_the_token_of_the_service_account(pod: dict[str, Any], want: bool) -> None:
    assert job_of(a_study(pod=pod))["spec"]["template"]["spec"]["automountServiceAccountToken"] is want


def test_the_time_limit_is_the_pod_s_so_that_a_queue_does_not_eat_it() -> None:
    job = job_of(a_study(trial={"timeoutSeconds": 3600}))
    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 3600
    assert "activeDeadlineSeconds" not in job["spec"]


def test_an_inactive_parameter_drops_its_argument_and_the_template_is_not_touched() -> None:
    study = a_study()
    before = copy.deepcopy(study.spec.trial.pod_template)
    assert job_of(study)["spec"]["template"]["spec"]["containers"][0]["args"] == ["--lr=0.003"]
    assert study.spec.trial.pod_template == before


def test_the_same_attempt_is_the_same_job() -> None:
    assert job_of(a_study(), target=9) == job_of(a_study(), target=9)


def test_dollars_in_values_reach_the_program() -> None:
    study = a_study(
        parameters=[{"name": "p", "type": "Categorical", "values": ["a$(POD_IP)", "b"]}],
        pod={"containers": [{"name": "c", "image": "i", "args": ["$(params.p)"]}]},
    )
    job = render_job(study, a_trial(parameters={"p": "a$(POD_IP)"}), 1, None, None)
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["a$$(POD_IP)"]
    assert env_of(job)["RUNG_PARAMETERS"] == '{"p": "a$$(POD_IP)"}'


@pytest.mark.parametrize(
    ("study", "field", "words"),
    [
        pytest.param(a_study(pod={"restartPolicy": "OnFailure"}), "podTemplate.spec.restartPolicy", "retries", id="restarts"),
        pytest.param(
            a_study(trial={"timeoutSeconds": 60}, pod={"activeDeadlineSeconds": 60}),
            "podTemplate.spec.activeDeadlineSeconds", "leave one of them out", id="two time limits",
        ),
        pytest.param(
            a_study(pod={"containers": [{"name": "c", "image": "$(params.momentum)"}]}),
            "podTemplate.spec.containers[0].image", "inactive", id="an image from a conditional parameter",
        ),
        pytest.param(a_study(trial={"metadata": {"labels": {"x": "$(params.lrr)"}}}), "metadata.labels.x", "params.lr", id="label"),
    ],
)  # fmt: skip
def test_what_no_trial_could_run_with(study: Study, field: str, words: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        check_pod_template(study)
    assert caught.value.field == f"spec.trial.{field}"
    assert words in caught.value.message


def test_the_metrics_container_must_exist() -> None:
    with pytest.raises(InvalidStudy, match=r"spec\.metrics\.container: there is no container 'side'"):
        check_pod_template(a_study(metrics={"container": "side"}))


def test_what_a_scheduler_and_a_checkpoint_give_may_stand_anywhere() -> None:
    container = {
        "name": "c",
        "image": "i",
        "args": ["--n", "$(resource.target)"],
        "workingDir": "$(trial.checkpointDir)",
    }
    check_pod_template(
        a_study(
            scheduler=RESOURCE, trial={"checkpoint": {"persistentVolumeClaim": "runs"}}, pod={"containers": [container]}
        )
    )


def a_container(resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": resources, **more}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({"containers": [a_container({})]}, 0, id="none"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/gpu": 2}})]}, 2, id="nvidia"),
        pytest.param({"containers": [a_container({"limits": {"amd.com/gpu": "4"}})]}, 4, id="amd, as a string"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/mig-1g.5gb": 1}})]}, 1, id="a MIG slice"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/gpu.shared": 1}})]}, 1, id="a share"),
        pytest.param({"containers": [a_container({"limits": {"gpu.intel.com/i915": "1"}})]}, 1, id="intel"),
        pytest.param({"containers": [a_container({"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 1}})]}, 1, id="not twice"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/gpu": 1}}), a_container({"limits": {"nvidia.com/gpu": 1}})]}, 2, id="two containers"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/gpumem": "8000", "aliyun.com/gpu-mem": "8"}})]}, 0, id="memory of a device is no device"),
        pytest.param({"containers": [a_container({"limits": {"cpu": "2", "memory": "1Gi", "gpu": "1"}})]}, 0, id="no domain, no device"),
        pytest.param({"initContainers": [a_container({"limits": {"nvidia.com/gpu": 4}})], "containers": [a_container({"limits": {"nvidia.com/gpu": 1}})]}, 4, id="a greedy init container"),
        pytest.param({"initContainers": [a_container({"limits": {"nvidia.com/gpu": 1}}, restartPolicy="Always")], "containers": [a_container({"limits": {"nvidia.com/gpu": 1}})]}, 2, id="a sidecar"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/gpu": "2000m"}})]}, 2, id="thousandths"),
        pytest.param({"containers": [a_container({"limits": {"nvidia.com/gpu": "many"}})]}, 0, id="nonsense is for the dry run to refuse"),
    ],
)  # fmt: skip
def test_gpus(spec: dict[str, Any], want: int) -> None:
    assert gpus_of({"spec": spec}) == want


def test_gpus_that_are_searched_for() -> None:
    container = {"name": "c", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "$(params.width|int)"}}}
    assert gpus_of_job(job_of(a_study(pod={"containers": [container]}))) == 64


def parameter(kind: str, **more: Any) -> Parameter:
    return Parameter.model_validate({"name": "p", "type": kind, **more})


@pytest.mark.parametrize(
    ("spec", "text", "want"),
    [
        pytest.param(parameter("Double", min="0", max="1"), "1", "1.0", id="a Double is a float even when whole"),
        pytest.param(parameter("Int", min="0", max="9"), "3", "3", id="an Int is an int"),
        pytest.param(parameter("Ordinal", values=["1", "2.5"]), "2.5", "2.5", id="an Ordinal of numbers is a number"),
        pytest.param(parameter("Ordinal", values=["1", "2x"]), "1", '"1"', id="an Ordinal with words is a word"),
        pytest.param(parameter("Categorical", values=["1", "2"]), "1", '"1"', id="a Categorical is a word"),
        pytest.param(parameter("Derived", expression="2"), "2", "2", id="a Derived number"),
        pytest.param(parameter("Derived", expression="'a'"), "a", '"a"', id="a Derived word"),
    ],
)
def test_numbers_are_numbers_in_the_json(spec: Parameter, text: str, want: str) -> None:
    assert parameters_json([spec], {"p": text}) == f'{{"p": {want}}}'


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_survives_the_json_exactly(value: float) -> None:
    assert json.loads(parameters_json([parameter("Double", min="0", max="1")], {"p": repr(value)}))["p"] == value


def test_the_environment_without_resource_checkpoint_and_resume_point_names_none_of_them() -> None:
    names = set(environment_of(a_study(), a_trial(), attempt=1, target=None))
    assert not names & {"RUNG_RESOURCE_METRIC", "RUNG_RESOURCE_TARGET", "RUNG_CHECKPOINT_DIR", "RUNG_RESUME_FROM"}


def test_the_json_keeps_the_order_of_the_spec() -> None:
    ordered = [Parameter.model_validate(document) for document in PARAMETERS]
    shuffled = dict(reversed(TEXTS.items()))
    assert list(json.loads(parameters_json(ordered, shuffled))) == ["lr", "width", "batch", "optimizer"]
