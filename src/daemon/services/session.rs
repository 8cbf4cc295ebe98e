use std::sync::Arc;
use std::time::SystemTime;

use tonic::{Request, Response, Status};

use crate::daemon::convert::{Neurons, session_to_proto};
use crate::daemon::engine::Command;
use crate::daemon::error::RequestError;
use crate::daemon::journaling::unhealthy;
use crate::daemon::registry::Registry;
use crate::daemon::session_metadata;
use crate::daemon::session_spec::session_spec;
use crate::model::TrialMark;
use crate::proto::v1;
use crate::proto::v1::session_service_server::SessionService;

/// Sessions: created, looked at, closed.
pub(in crate::daemon) struct SessionRpc {
    pub(in crate::daemon) registry: Arc<Registry>,
}

#[tonic::async_trait]
impl SessionService for SessionRpc {
    async fn create_session(
        &self,
        request: Request<v1::CreateSessionRequest>,
    ) -> Result<Response<v1::CreateSessionResponse>, Status> {
        let mut asked = request.into_inner().spec.ok_or(RequestError::Missing { field: "spec" })?;
        let config = &self.registry.config;
        session_metadata::fill(&mut asked, &config.recording, SystemTime::now());
        let spec = session_spec(asked, &config.defaults, &config.limits)?;
        let session = self.registry.create(spec).await?;
        let session = Some(session_to_proto(&session, Neurons::Listed));
        Ok(Response::new(v1::CreateSessionResponse { session }))
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::GetSessionResponse>, Status> {
        let session = self.registry.get(&request.get_ref().session_id)?;
        let session = Some(session_to_proto(&session, Neurons::Listed));
        Ok(Response::new(v1::GetSessionResponse { session }))
    }

    async fn list_sessions(
        &self,
        _request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        let sessions = self.registry.list();
        Ok(Response::new(v1::ListSessionsResponse {
            sessions: sessions.iter().map(|session| session_to_proto(session, Neurons::Counted)).collect(),
            daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
            journal: self.registry.durability.status(),
        }))
    }

    async fn close_session(
        &self,
        request: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        let session = self.registry.get(&request.get_ref().session_id)?;
        self.registry.close(&session).await?;
        let (paths, recordings) = {
            let record = session.record();
            (record.final_snapshots.clone(), record.recordings.clone())
        };
        Ok(Response::new(v1::CloseSessionResponse {
            session: Some(session_to_proto(&session, Neurons::Listed)),
            snapshot_paths: paths.iter().map(|path| path.display().to_string()).collect(),
            recording_paths: recordings.iter().map(|path| path.display().to_string()).collect(),
        }))
    }

    async fn mark_trial(
        &self,
        request: Request<v1::MarkTrialRequest>,
    ) -> Result<Response<v1::MarkTrialResponse>, Status> {
        let v1::MarkTrialRequest { session_id, start_bin, stop_bin } = request.into_inner();
        let session = self.registry.get(&session_id)?;
        if let Some(stop_bin) = stop_bin.filter(|&stop_bin| stop_bin <= start_bin) {
            return Err(RequestError::TrialBounds { start_bin, stop_bin }.into());
        }
        self.registry.durability.check()?;
        let mark = TrialMark { start_bin, stop_bin };
        let mut health = self.registry.durability.watch_health();
        tokio::select! {
            biased;
            marked = session.ask(|reply| Command::MarkTrial { mark, reply }) => marked??,
            // It is marked, and becomes durable when there is room; who says it again is answered then.
            error = unhealthy(&mut health) => return Err(error.into()),
        }
        Ok(Response::new(v1::MarkTrialResponse {}))
    }
}
