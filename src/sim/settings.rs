//! `GET /v3/projects/settings`, as far as contract 6 shows it.

use serde_json::json;

use super::{
    project::Project,
    wire::{Reply, parameters},
};

impl Project {
    /// Answers for the one category there is. The project is open, and its emergency stop is off.
    pub(super) fn settings(&self, query: &str) -> Reply {
        if parameters(query).get("category").map(String::as_str) != Some("management") {
            return Reply::json(400, &json!({"message": "Invalid Query String parameters"}));
        }
        let management = json!({
            "projectStatus": "open",
            "activateBlocking": {"activate": false},
            "ipWhitelist": {"api": self.rules.ip_whitelist},
            "webhook": {"url": self.outbox.url()},
            "formReturnUrl": self.rules.form_return_url,
        });
        Reply::json(200, &json!({"traceId": "simulated", "item": {"management": management}}))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sim::{project::ProjectOptions, webhooks::WebhookSettings};

    fn management(project: &Project) -> Value {
        let reply = project.settings("category=management");
        assert_eq!(reply.status, 200);
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert!(body["traceId"].is_string());
        body["item"]["management"].clone()
    }

    #[test]
    fn the_settings_show_the_project_as_it_is_at_the_moment() {
        let mut project = Project::new(ProjectOptions::default());
        assert_eq!(
            management(&project),
            json!({"projectStatus": "open", "activateBlocking": {"activate": false},
                "ipWhitelist": {"api": []}, "webhook": {"url": null}, "formReturnUrl": null})
        );
        let url = "http://127.0.0.1:9/hook";
        project.outbox.change(WebhookSettings { url: Some(url.into()), ..Default::default() });
        let rules =
            json!({"ip_whitelist": ["203.0.113.9"], "form_return_url": "https://a.example"});
        project.change_rules(0, serde_json::from_value(rules).unwrap());
        let shown = management(&project);
        assert_eq!(
            (&shown["webhook"]["url"], &shown["ipWhitelist"]),
            (&json!(url), &json!({"api": ["203.0.113.9"]}))
        );
        assert_eq!(shown["formReturnUrl"], "https://a.example");
        project.change_rules(0, serde_json::from_value(json!({"form_return_url": ""})).unwrap());
        assert_eq!(management(&project)["formReturnUrl"], Value::Null);
        for query in ["", "category=other"] {
            assert_eq!(project.settings(query).status, 400);
        }
    }
}
