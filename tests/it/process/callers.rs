//! Who asks, and for which project (P2).

use argospool::{
    api::proto::{
        AuditRequest, CreateLeaseRequest, GetLeaseRequest, GetStatusRequest, Lease,
        ListLeasesRequest, PauseRequest, ReleaseLeaseRequest, get_lease_request::Key,
    },
    sim::{ProjectOptions, Simulator, SimulatorOptions},
};
use tonic::{Code, Request, Status};

use super::daemon::{Daemon, Home, reason, text, until};

fn project(name: &str) -> ProjectOptions {
    ProjectOptions {
        pid: format!("pid_{name}"),
        api_key: format!("argos_test_{name}"),
        ..ProjectOptions::default()
    }
}

/// A message from somebody; an empty name is nobody.
fn by<M>(name: &str, message: M) -> Request<M> {
    let mut request = Request::new(message);
    if !name.is_empty() {
        let header = format!("Bearer secret-of-{name}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
    }
    request
}

fn wish(project: &str) -> CreateLeaseRequest {
    CreateLeaseRequest { project: project.to_owned(), ..CreateLeaseRequest::default() }
}

async fn lease(daemon: &Daemon, who: &str, project: &str) -> Result<Lease, Status> {
    let answer = daemon.pool().create_lease(by(who, wish(project))).await?;
    Ok(answer.into_inner().lease.unwrap())
}

/// Waits for the first token of a project.
async fn first_lease(daemon: &Daemon, who: &str, project: &str) -> Lease {
    until("the first lease", async || lease(daemon, who, project).await.ok()).await
}

fn refused<T>(result: Result<T, Status>) -> (Code, String) {
    let status = result.err().expect("it was allowed");
    (status.code(), reason(&status))
}

#[tokio::test]
async fn two_projects_in_one_process_never_mix() {
    let projects = vec![project("one"), project("two")];
    let options = SimulatorOptions { projects, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.unwrap();
    let mut home = Home::beside(&simulator)
        .without("projects.default.pid")
        .without("projects.default.api_key_file")
        .with("defaults.refill.low_water_tokens", 0)
        .with("projects.one.refill.target_tokens", 500)
        .with("projects.two.refill.target_tokens", 1_500);
    for name in ["one", "two"] {
        let key = home.secret(name, &format!("argos_test_{name}"));
        home = home
            .with(&format!("projects.{name}.pid"), text(format!("pid_{name}")))
            .with(&format!("projects.{name}.api_key_file"), text(key.display()));
    }
    let daemon = home.serve().await;
    for name in ["one", "two"] {
        let lease = first_lease(&daemon, "", name).await;
        assert!(lease.project == name && lease.url.contains(&format!("pid=pid_{name}&")));
        let state = simulator.state(&format!("pid_{name}"), 0).unwrap();
        let knows = |token: &serde_json::Value| token["tokenId"] == lease.token_id;
        assert!(state["tokens"].as_array().unwrap().iter().any(knows), "its own ARGOS knows it");

        let other = if name == "one" { "two" } else { "one" };
        let key = Some(Key::LeaseId(lease.lease_id));
        let read = GetLeaseRequest { project: other.to_owned(), key };
        assert_eq!(refused(daemon.pool().get_lease(read).await).0, Code::NotFound);
    }
    let unnamed = refused(lease(&daemon, "", "").await);
    assert_eq!(unnamed, (Code::NotFound, "PROJECT_NOT_FOUND".to_owned()));
    let filled = async || {
        let answer = daemon.admin().get_status(GetStatusRequest::default()).await.unwrap();
        let projects = answer.into_inner().projects;
        let held: Vec<_> = projects.iter().map(|project| project.held_tokens).collect();
        (held == [500, 1_500]).then_some(())
    };
    until("each has its own stock", filled).await;
    for (pid, tokens) in [("pid_one", 500), ("pid_two", 1_500)] {
        assert_eq!(simulator.counters(pid).unwrap().pool_size, tokens);
    }
    assert_eq!(daemon.get("/readyz?lease=one").await.0, 200);
    assert_eq!(daemon.get("/readyz?lease=three").await.0, 503);
    daemon.stop().await;
}

#[tokio::test]
async fn a_caller_sees_its_own_leases_and_steers_nothing() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let mut home = Home::beside(&simulator);
    for (name, role) in [("web", "caller"), ("mail", "caller"), ("ops", "admin")] {
        let token = home.secret(name, &format!("secret-of-{name}"));
        home = home
            .with(&format!("callers.{name}.token_file"), text(token.display()))
            .with(&format!("callers.{name}.role"), text(role));
    }
    let home = home.with("callers.mail.leases_per_minute", 3);
    let daemon = home.serve().await;
    let webs = first_lease(&daemon, "web", "").await;
    assert_eq!(webs.owner, "token:web");

    let read = || {
        let key = Some(Key::LeaseId(webs.lease_id.clone()));
        GetLeaseRequest { key, ..GetLeaseRequest::default() }
    };
    let release = || ReleaseLeaseRequest {
        lease_id: webs.lease_id.clone(),
        ..ReleaseLeaseRequest::default()
    };
    let list = || ListLeasesRequest::default();
    let own = daemon.pool().get_lease(by("web", read())).await.unwrap().into_inner();
    assert_eq!(own.lease.as_ref(), Some(&webs), "its owner is shown the URL again");

    let not_found = (Code::NotFound, "LEASE_NOT_FOUND".to_owned());
    assert_eq!(refused(daemon.pool().get_lease(by("mail", read())).await), not_found);
    assert_eq!(refused(daemon.pool().release_lease(by("mail", release())).await), not_found);
    let listed = daemon.pool().list_leases(by("mail", list())).await.unwrap().into_inner();
    assert!(listed.leases.is_empty());

    let denied = (Code::PermissionDenied, "NOT_ALLOWED".to_owned());
    let mut admin = daemon.admin();
    assert_eq!(refused(admin.get_status(by("web", GetStatusRequest::default())).await), denied);
    assert_eq!(refused(admin.pause(by("web", PauseRequest::default())).await), denied);
    assert_eq!(refused(admin.audit(by("web", AuditRequest::default())).await), denied);
    let seen = daemon.pool().list_leases(by("ops", list())).await.unwrap().into_inner();
    assert_eq!(seen.leases.len(), 1);
    assert!(seen.leases[0].url.is_empty() && seen.leases[0].token_id.is_empty());
    let audit = admin.audit(by("ops", AuditRequest::default())).await.unwrap().into_inner();
    assert!(audit.breaches.is_empty());

    let missing = (Code::Unauthenticated, "IDENTITY_MISSING".to_owned());
    assert_eq!(refused(lease(&daemon, "", "").await), missing);
    assert_eq!(refused(daemon.pool().get_lease(read()).await), missing);
    let unknown = (Code::Unauthenticated, "IDENTITY_UNKNOWN".to_owned());
    assert_eq!(refused(lease(&daemon, "stranger", "").await), unknown);

    // The release that was refused has counted as well.
    for _ in 0..2 {
        lease(&daemon, "mail", "").await.unwrap();
    }
    let quota = (Code::ResourceExhausted, "CALLER_QUOTA".to_owned());
    assert_eq!(refused(lease(&daemon, "mail", "").await), quota);
    lease(&daemon, "web", "").await.unwrap();
    assert!(!home.log().contains("secret-of-"), "P1");
    daemon.stop().await;
}
