from infra.redis.circuit import PROBE_INTERVAL_S, Circuit


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_closed_circuit_admits_every_call() -> None:
    circuit = Circuit(Time())
    assert [circuit.admits() for _ in range(3)] == [True, True, True]
    assert not circuit.is_open


def test_the_first_failure_opens_it() -> None:
    circuit = Circuit(Time())
    circuit.failed()
    assert circuit.is_open
    assert not circuit.admits()


def test_an_open_circuit_admits_one_probe_per_interval() -> None:
    time = Time()
    circuit = Circuit(time)
    circuit.failed()
    for _ in range(3):
        time.now += PROBE_INTERVAL_S
        assert [circuit.admits() for _ in range(3)] == [True, False, False]


def test_calls_that_fail_late_do_not_put_the_probe_off() -> None:
    time = Time()
    circuit = Circuit(time)
    circuit.failed()
    time.now += PROBE_INTERVAL_S * 0.9
    circuit.failed()
    time.now += PROBE_INTERVAL_S * 0.1
    assert circuit.admits()


def test_a_success_closes_it() -> None:
    circuit = Circuit(Time())
    circuit.failed()
    circuit.succeeded()
    assert [circuit.admits() for _ in range(3)] == [True, True, True]
