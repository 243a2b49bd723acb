//! Each kind as the interface's tables: which shapes it has, and which method of the trait each calls.
//!
//! Named in lower case because `module!` names them so.
#![allow(non_camel_case_types, reason = "module!(predictor X) reads as a sentence")]

use std::{
    ffi::CStr,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
};

use candor_plugin_abi as abi;

use super::{
    Arms, Combiner, Detector, Explainer, Model, Predictor, Question, Resampler, Router, Selector, Trainer, Transform,
};
use crate::{
    Call, Inputs, Result,
    thunks::{FitKind, Kind, RunKind, batch, begin, finish, run, size_of},
};

macro_rules! kind {
    ($(#[$meta:meta])* $name:ident: $trait:ident = $text:literal; $($shape:ident)+) => {
        $(#[$meta])*
        pub struct $name<T>(PhantomData<T>);

        impl<T: $trait> Kind for $name<T> {
            type Component = T;
            const NAME: &'static CStr = $text;
            $(kind!(@$shape);)+
        }
    };
    (@run) => {
        const RUN: Option<&'static abi::RunV1> =
            Some(&abi::RunV1 { struct_size: size_of::<abi::RunV1>(), flags: 0, run: Some(run::<Self>) });
    };
    (@fit) => {
        const FIT: Option<&'static abi::FitV1> = Some(&abi::FitV1 {
            struct_size: size_of::<abi::FitV1>(),
            flags: 0,
            begin: Some(begin::<Self>),
            batch: Some(batch::<Self>),
            finish: Some(finish::<Self>),
        });
    };
    (@route) => {
        const ROUTE: Option<&'static abi::RouteV1> = Some(&abi::RouteV1 {
            struct_size: size_of::<abi::RouteV1>(),
            flags: 0,
            choose: Some(choose::<T>),
            feedback: Some(feedback::<T>),
        });
    };
}

macro_rules! runs {
    ($name:ident: $trait:ident, $method:ident) => {
        impl<T: $trait> RunKind for $name<T> {
            fn run(component: &T, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
                component.$method(call, inputs)
            }
        }
    };
}

macro_rules! fits {
    ($name:ident: $trait:ident, $method:ident) => {
        impl<T: $trait> FitKind for $name<T> {
            fn begin(component: &mut T, call: &Call<'_>) -> Result<()> {
                component.begin(call)
            }
            fn batch(component: &mut T, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
                component.$method(call, inputs)
            }
            fn finish(component: &mut T, call: &Call<'_>) -> Result<()> {
                component.finish(call)
            }
        }
    };
}

kind!(/** [`Predictor`]. */ predictor: Predictor = c"predictor"; run);
kind!(/** [`Transform`]. */ transform: Transform = c"transform"; run);
kind!(/** [`Explainer`]. */ explainer: Explainer = c"explainer"; run);
kind!(/** [`Detector`]. */ detector: Detector = c"detector"; run fit);
kind!(/** [`Combiner`]. */ combiner: Combiner = c"combiner"; run);
kind!(/** [`Resampler`]. */ resampler: Resampler = c"resampler"; run);
kind!(/** [`Selector`]. */ selector: Selector = c"selector"; run fit);
kind!(/** [`Trainer`]. */ trainer: Trainer = c"trainer"; fit);
kind!(/** [`Router`]. */ router: Router = c"router"; route);

runs!(predictor: Predictor, predict);
runs!(transform: Transform, transform);
runs!(detector: Detector, judge);
runs!(combiner: Combiner, combine);
runs!(resampler: Resampler, resample);
runs!(selector: Selector, select);
fits!(detector: Detector, reference);
fits!(selector: Selector, batch);
fits!(trainer: Trainer, batch);

impl<T: Explainer> RunKind for explainer<T> {
    fn run(component: &T, call: &Call<'_>, inputs: &Inputs<'_>) -> Result<()> {
        component.explain(call, &Question::of(*inputs)?, &Model::of(*call))
    }
}

unsafe extern "C-unwind" fn choose<T: Router>(
    instance: *mut abi::Instance,
    arms: *const abi::Arm,
    n: u32,
    key: u64,
    features: *const abi::Value,
    n_features: u32,
    out: *mut u32,
) -> i32 {
    let chosen = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the instance comes from `create` of the same component, and the host answers for the rest during
        // the call.
        let (chooser, arms, features) = unsafe {
            let arms = if arms.is_null() || n == 0 { &[] } else { slice::from_raw_parts(arms, n as usize) };
            (instance.cast::<T>().as_ref()?, arms, Inputs::new(features, n_features))
        };
        chooser.choose(Arms(arms), key, &features)
    }));
    match chosen {
        Ok(Some(arm)) if arm < n && !out.is_null() => {
            // SAFETY: not null, and the host's own place for a number.
            unsafe { out.write(arm) };
            abi::OK
        }
        Ok(Some(_)) => abi::INTERNAL,
        Ok(None) => abi::UNAVAILABLE,
        Err(payload) => {
            std::mem::forget(payload);
            abi::PANIC
        }
    }
}

unsafe extern "C-unwind" fn feedback<T: Router>(instance: *mut abi::Instance, arm: u32, reward: f64, key: u64) -> i32 {
    let told = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: as in `choose`.
        if let Some(chooser) = unsafe { instance.cast::<T>().as_ref() } {
            chooser.feedback(arm, reward, key);
        }
    }));
    told.map_or_else(
        |payload| {
            std::mem::forget(payload);
            abi::PANIC
        },
        |()| abi::OK,
    )
}
