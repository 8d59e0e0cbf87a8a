//! Handlers: owed by what changed before it is changed, run once, and nothing changed that cannot be stored.

use super::*;

/// Owes what it was told to.
#[derive(Default)]
struct Book(Mutex<Vec<String>>);

#[async_trait]
impl Debts for Book {
    fn owes(&self, handler: &str, _: Option<&str>) -> bool {
        self.0.lock().unwrap().iter().any(|owed| owed == handler)
    }

    async fn owe(&self, handlers: &[String], host: Option<&str>) -> Result<(), String> {
        if host == Some("pc4") {
            return Err("the disk is full".into());
        }
        self.0.lock().unwrap().extend_from_slice(handlers);
        Ok(())
    }

    async fn settle(&self, handler: &str, _: Option<&str>) -> Result<(), String> {
        self.0.lock().unwrap().retain(|owed| owed != handler);
        Ok(())
    }
}

/// A step that writes two files, of which one has a handler, and that handler.
fn notifying() -> (Step, Step) {
    let mut notifying = ensures(vec![file("/motd", "hello\n"), file("/issue", "hello\n")]);
    notifying.ensure.as_mut().unwrap()[0].notify = vec!["greet".into()];
    let handler = Step {
        id: "end:greet".into(),
        ..run_step(&["touch", "/greeted"], true)
    };
    (notifying, handler)
}

#[tokio::test]
async fn a_handler_runs_where_its_own_resource_changed_and_only_once() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        debts: Arc::new(Book::default()),
        ..context(&host)
    };
    let (notifying, handler) = notifying();
    let skipped = Outcome::Skipped("nothing changed that it is for".into());
    host.put("/motd", "hello\n");
    execute(&notifying, Some("pc1"), &context).await.unwrap();
    let outcome = execute(&handler, Some("pc1"), &context).await.unwrap();
    assert_eq!(outcome, skipped);
    host.put("/motd", "by hand\n");
    execute(&notifying, Some("pc1"), &context).await.unwrap();
    let outcome = execute(&handler, Some("pc1"), &context).await.unwrap();
    assert_eq!(outcome, Outcome::Changed);
    assert!(host.path("/greeted").exists());
    let outcome = execute(&handler, Some("pc1"), &context).await.unwrap();
    assert_eq!(outcome, skipped);
}

#[tokio::test]
async fn nothing_is_changed_when_it_cannot_be_stored_what_must_follow() {
    let host = Arc::new(TempHost::new());
    let context = Context {
        debts: Arc::new(Book::default()),
        ..context(&host)
    };
    let (notifying, _) = notifying();
    let error = execute(&notifying, Some("pc4"), &context)
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "not changed, because it could not be stored that greet must follow: the disk is full"
    );
    assert!(!host.path("/motd").exists());
}
