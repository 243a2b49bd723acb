//! Every gRPC method with every kind of token; quotas; addresses beyond loopback.

use bytes::Bytes;
use candor_domain::Access;
use candor_grpc_api::methods::{Kind, METHODS, Method};
use candor_tests::{
    Grpc, Models, Plan, TestServer,
    grpc::{proto::ServerMetadataRequest, typed_request, with_token},
    infer,
    server::token_of,
};
use tonic::{Code, Request, Status};

fn server() -> TestServer {
    Plan::with(Models::copies(&["iris"])).with_tokens().start()
}

/// Whatever a method itself answers to an empty message: anything but a refusal of the caller.
fn is_let_in(answer: &Result<Option<Bytes>, Status>) -> bool {
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    !matches!(code, Code::Unauthenticated | Code::PermissionDenied)
}

#[test]
fn every_method_asks_for_what_it_declares() {
    let server = server();
    let grpc = Grpc::open(server.grpc_addr());
    for Method { path, access: needed, kind } in METHODS {
        for access in Access::ALL.into_iter().filter(|access| *access > Access::Public) {
            let answer = grpc.call(path, with_token(Bytes::new(), &token_of(access)));
            if access >= *needed {
                assert!(is_let_in(&answer), "{path} with {access}: {answer:?}");
                let is_missing = answer.as_ref().is_err_and(|status| status.code() == Code::Unimplemented);
                assert_eq!(is_missing, matches!(kind, Kind::Missing(_)), "{path}: {answer:?}");
            } else {
                let status = answer.unwrap_err();
                let says = format!("'{access}' may not do this; expected access '{needed}', got '{access}'");
                assert_eq!((status.code(), status.message()), (Code::PermissionDenied, &*says), "{path}");
                assert_eq!(status.metadata().get("candor-reason").unwrap(), "forbidden");
            }
        }
        let nobody = grpc.call(path, Request::new(Bytes::new()));
        if *needed == Access::Public {
            assert!(is_let_in(&nobody), "{path} is public: {nobody:?}");
            continue;
        }
        let status = nobody.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{path} without a token");
        assert!(status.message().contains(&format!("a token with access '{needed}'")), "{status}");
    }
    server.stop_and_expect_clean();
}

#[test]
fn methods_ask_for_what_the_routes_beside_them_ask_for() {
    let route = |path: &str| {
        let found = candor_http_api::routes::ROUTES.iter().find(|route| route.path == path);
        found.unwrap_or_else(|| panic!("no route {path}")).access
    };
    for (method, path) in [
        ("ModelInfer", "/v2/models/{model}/infer"),
        ("ModelStreamInfer", "/v2/models/{model}/infer"),
        ("ServerLive", "/v2/health/live"),
        ("ServerReady", "/v2/health/ready"),
        ("ModelReady", "/v2/models/{model}/ready"),
        ("ServerMetadata", "/v2"),
        ("ModelMetadata", "/v2/models/{model}"),
        ("ModelConfig", "/v2/models/{model}/config"),
        ("ModelStatistics", "/v2/models/{model}/stats"),
        ("RepositoryIndex", "/v2/repository/index"),
        ("RepositoryModelLoad", "/v2/repository/models/{model}/load"),
        ("RepositoryModelUnload", "/v2/repository/models/{model}/unload"),
    ] {
        let method = METHODS.iter().find(|known| known.path.ends_with(&format!("/{method}"))).unwrap();
        assert_eq!(method.access, route(path), "{path}");
    }
    let public: Vec<_> = METHODS.iter().filter(|method| method.access == Access::Public).collect();
    assert!(public.iter().all(|method| !matches!(method.kind, Kind::Missing(_))));
    assert_eq!(public.len(), 6, "liveness, readiness, health twice, reflection twice: {public:?}");
}

#[test]
fn a_token_that_is_wrong_in_any_way_opens_nothing() {
    let server = server();
    let grpc = Grpc::open(server.grpc_addr());
    let admin = token_of(Access::Admin);
    let path = "/inference.GRPCInferenceService/ServerMetadata";
    for wrong in ["", "Bearer", "Bearer ", &admin, &format!("Basic {admin}"), &format!("Bearer {admin}x")] {
        let mut request = Request::new(Bytes::new());
        request.metadata_mut().insert("authorization", wrong.parse().unwrap());
        let status = grpc.call(path, request).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{wrong:?}");
        assert!(!status.message().contains(&admin));
    }
    // What the table does not have is hidden from strangers, and so are other spellings of what it has.
    for odd in ["/x/Y", "/inference.GRPCInferenceService/modelinfer", "/inference.GRPCInferenceService/ModelInfer/"] {
        assert_eq!(grpc.call(odd, Request::new(Bytes::new())).unwrap_err().code(), Code::Unauthenticated, "{odd}");
        let known = grpc.call(odd, with_token(Bytes::new(), &token_of(Access::Infer))).unwrap_err();
        assert_eq!(known.code(), Code::Unimplemented, "{odd}");
        assert!(known.message().contains("there is no such method"), "{known}");
    }
}

#[test]
fn a_quota_is_one_over_both_doors_and_streams_pay_for_each_request() {
    let plan = Plan::with(Models::copies(&["iris"])).with_tokens().set("limits.requests_per_second_max=3");
    let server = plan.start();
    let grpc = Grpc::open(server.grpc_addr());
    let ask =
        |access| grpc.wait(grpc.client().server_metadata(with_token(ServerMetadataRequest {}, &token_of(access))));
    let status = (0..1000).find_map(|_| ask(Access::Infer).err()).expect("no quota");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(status.metadata().get("candor-reason").unwrap(), "quota_exceeded");
    assert_eq!(status.metadata().get("retry-after").unwrap(), "1");
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
    // Others have quotas of their own; health has none.
    assert!(ask(Access::Observe).is_ok());
    let live = "/inference.GRPCInferenceService/ServerLive";
    assert!((0..20).all(|_| grpc.call(live, Request::new(Bytes::new())).is_ok()));
    let iris = typed_request("iris", infer::iris()["inputs"].as_array().unwrap());
    let all = with_token(futures_util::stream::iter(vec![iris; 20]), &token_of(Access::Operate));
    let refused = grpc.wait(async {
        let mut answers = grpc.client().model_stream_infer(all).await.unwrap().into_inner();
        let mut refused = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            refused += usize::from(answer.error_message.contains("limits.requests_per_second_max"));
        }
        refused
    });
    assert!((1..20).contains(&refused), "{refused} of 20 were refused");
}

#[test]
fn listening_beyond_loopback_needs_tokens_or_a_word() {
    let beyond = || Plan::with(Models::copies(&["iris"])).set("grpc.addr=0.0.0.0:0");
    let error = beyond().try_start().unwrap_err();
    assert!(error.contains("grpc.addr") && error.contains("needs auth.tokens_file, or --insecure"), "{error}");
    assert!(beyond().set("auth.insecure=true").try_start().is_ok());
    assert!(beyond().with_tokens().try_start().is_ok());
}
