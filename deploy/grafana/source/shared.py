"""Panels that stand on more than one board, the same on each."""

from board import BLUE, GREEN, GREY, ORANGE, PROCESS, PROJECT, PURPLE, RED, SUMMED, YELLOW, colored, query, series, stat, steps, table, timeline

ON_OFF = {0: ("", "transparent"), 1: ("yes", BLUE)}
BAD_ON_OFF = {0: ("", "transparent"), 1: ("yes", RED)}


def can_lease(**more):
    return stat(
        "Can lease", "Whether a caller who asks now would be given a lease, in the project where it stands worst.",
        [query(f"min by (project) (clamp_max(argospool_leasable_tokens{{{PROJECT}}}, 1))", "{{project}}")], "short",
        mappings=[{"type": "value", "options": {"0": {"text": "NO", "color": RED, "index": 0}, "1": {"text": "yes", "color": GREEN, "index": 1}}}],
        graph=False, runbook="ArgospoolHandoutStopped", **more)


def lasts(**more):
    return stat(
        "Stock lasts", "How long the leasable tokens last at the demand of the last half minute, without refill. For ever without demand.",
        [query(f"min by (project) (argospool_time_to_empty_seconds{{{PROJECT}}} < Inf)", "{{project}}")], "s",
        thresholds=steps(RED, (300, ORANGE), (900, GREEN)), no_value="for ever", runbook="ArgospoolStockRunningOut", **more)


def cover(**more):
    return stat(
        "Outage cover", "How long the stock would last if ARGOS were lost now, at the usual or the present demand, whichever is higher.",
        [query(f"min by (project) (argospool_outage_cover_seconds{{{PROJECT}}} < Inf)", "{{project}}")], "s",
        thresholds=steps(RED, (900, ORANGE), (3600, GREEN)), no_value="for ever", **more)


def condition(**more):
    return stat(
        "ARGOS", "How ARGOS looks from here: up, failing, throttled, down, or refusing our key, address or envelopes.",
        [query(f"max by (project, condition) (argospool_argos_condition{{{PROJECT}}}) == 1", "{{project}}: {{condition}}")], "short",
        text="name", graph=False, runbook="ArgospoolArgosDown",
        thresholds=steps(GREY), overrides=[
            _painted("up", GREEN), _painted("failing|throttled", YELLOW), _painted("down|.*_refused", RED)], **more)


def _painted(words, color):
    return {"matcher": {"id": "byRegexp", "options": f"/: ({words})$/"},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}


def budget(**more):
    return stat(
        "Calls left today", "The part of the day's budget of calls to ARGOS that is left; it starts anew at 00:00 UTC.",
        [query(f"min by (project) (argospool_argos_budget_remaining{{{PROJECT}}} / argospool_argos_budget_calls{{{PROJECT}}})", "{{project}}")],
        "percentunit", thresholds=steps(RED, (0.1, ORANGE), (0.25, GREEN)), low=0, high=1, decimals=0, runbook="ArgospoolBudgetLow", **more)


def availability(**more):
    return stat(
        "Error budget left", "The part of the error budget of the last 30 days that is left: 99.9 % of the answers that are ours to give carry a "
        "lease. Below zero the objective is missed.",
        [query(f"min by (project) (1 - job_project:argospool_lease_errors:ratio_rate30d{{{SUMMED}}} / 0.001)", "{{project}}")],
        "percentunit", thresholds=steps(RED, (0, ORANGE), (0.25, GREEN)), decimals=0, runbook="ArgospoolLeaseErrorBudgetBurn", **more)


def problems(**more):
    return table(
        "What is not as it should be", "Each problem that `argospool status` tells, with its sentence there. Empty when all is well.",
        [query(f"max by (project, problem) (argospool_problem{{{PROJECT}}}) == 1", table=True)],
        {"project": "Project", "problem": "Problem"}, no_value="nothing", **more)


def alerts(**more):
    return table(
        "Alerts", "Alerts that fire or are about to. Each has a page among the runbooks.",
        [query(f'max by (alertname, severity, alertstate, project) (ALERTS{{{PROCESS}, alertname=~"Argospool.*"}})', table=True)],
        {"alertname": "Alert", "severity": "Severity", "alertstate": "State", "project": "Project"}, no_value="none", **more)


def stock(**more):
    return series(
        "Stock against target", "Tokens that a caller could be given, the target that refill aims at, and low water, below which parts of a batch "
        "are ordered.",
        [query(f"sum by (project) (argospool_leasable_tokens{{{PROJECT}}})", "{{project}} leasable"),
         query(f"sum by (project) (argospool_target_tokens{{{PROJECT}}})", "{{project}} target"),
         query(f"sum by (project) (argospool_low_water_tokens{{{PROJECT}}})", "{{project}} low water")], "short",
        overrides=[colored("target$", GREEN, dashed=True), colored("low water$", ORANGE, dashed=True)], runbook="ArgospoolStockLow", **more)


def demand(**more):
    return series(
        "Demand and supply", "Leases that are asked for in the last half minute and usually at this time, and tokens that become ready. While "
        "demand is above supply the stock shrinks.",
        [query(f"sum by (project) (argospool_demand_tokens_per_second{{{PROJECT}}})", "{{project}} demand"),
         query(f"sum by (project) (argospool_usual_demand_tokens_per_second{{{PROJECT}}})", "{{project}} usual demand"),
         query(f"sum by (project) (rate(argospool_tokens_minted_total{{{PROJECT}}}[$__rate_interval]))", "{{project}} ordered")], "reqps",
        overrides=[colored("usual demand$", GREY, dashed=True), colored("ordered$", GREEN)], runbook="ArgospoolStockRunningOut", **more)


def refusals(**more):
    return series(
        "Refusals by reason", "Requests for leases that were not served, by the reason that the caller heard. What callers do wrong is here too; "
        "the SLO board leaves it out.",
        [query(f'sum by (reason) (rate(argospool_lease_requests_total{{{PROJECT}, code!="OK"}}[$__rate_interval])) > 0', "{{reason}}")],
        "reqps", stacked=True, no_value="none", runbook="ArgospoolLeaseErrorBudgetBurn", **more)


def conditions(**more):
    return timeline(
        "ARGOS over time", "For how long ARGOS looked how.",
        [query(f"max by (condition) (argospool_argos_condition{{{PROJECT}}})", "{{condition}}")],
        words={0: ("", "transparent"), 1: ("is so", PURPLE)},
        overrides=[_state("up", GREEN), _state("failing|throttled", YELLOW), _state("down|.*_refused", RED)], **more)


def _state(words, color):
    words_of = {"0": {"text": "", "color": "transparent", "index": 0}, "1": {"text": "is so", "color": color, "index": 1}}
    return {"matcher": {"id": "byRegexp", "options": f"/^({words})$/"},
            "properties": [{"id": "mappings", "value": [{"type": "value", "options": words_of}]}]}


def cap(**more):
    return series(
        "Under the cap", "What holds a slot at ARGOS: ours and foreign tokens, below the cap less the reserve.",
        [query(f"sum by (project) (argospool_held_tokens{{{PROJECT}}})", "{{project}} held"),
         query(f"sum by (project) (argospool_foreign_tokens{{{PROJECT}}})", "{{project}} foreign"),
         query(f"sum by (project) (argospool_cap_tokens{{{PROJECT}}} - argospool_reserve_tokens{{{PROJECT}}})", "{{project}} usable cap")], "short",
        overrides=[colored("usable cap$", RED, dashed=True), colored("foreign$", ORANGE)], runbook="ArgospoolCapReached", **more)


def latency(**more):
    call = f'{{{PROCESS}, grpc_service="argospool.v1.TokenPoolService", grpc_method="CreateLease"}}'
    bucket = f"sum by (le) (rate(grpc_server_handling_seconds_bucket{call}[$__rate_interval]))"
    return series(
        "How long a lease takes", "From the first byte of CreateLease to the last of its answer. The objective is 99 % within 50 ms; whoever waits "
        "at an empty pool counts.",
        [query(f"histogram_quantile({quantile}, {bucket})", f"p{str(quantile * 100).rstrip('0').rstrip('.')}") for quantile in (0.5, 0.95, 0.99)],
        "s", lines=True, thresholds=steps(GREEN, (0.05, RED)), runbook="ArgospoolLeaseLatencyBudgetBurn", **more)
